"""Numbers as people read them in the cells of a table."""

from results.rankings.statistics import Estimate


def percent(score: Estimate) -> str:
    """Returns a fraction in percent with half the width of its interval: `97.22 ± 0.43`."""
    if score.interval is None:
        return percent_mean(score)
    low, high = score.interval
    return f"{percent_mean(score)} ± {50 * (high - low):.2f}"


def percent_mean(score: Estimate) -> str:
    """Returns a fraction in percent, without its interval: `99.81`."""
    return f"{100 * score.mean:.2f}"


def points(difference: Estimate) -> str:
    """Returns a difference of fractions in percentage points, with its sign: `-0.83 ± 1.20`."""
    shown = percent(difference)
    return f"+{shown}" if difference.mean > 0 else shown


def points_if_known(difference: Estimate) -> str:
    """Like `points`; empty for one seed in common, which the means tell already."""
    return "" if difference.count == 1 else points(difference)


def count(number: int) -> str:
    """Returns a count to three digits: `61.7k`, `11.2M`, `4.09G`."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{three(number / size)}{suffix}"
    return str(number)


def amount(value: Estimate) -> str:
    """Returns a mean to three digits, or to the unit: `8.53`, `142`, `1,432`."""
    return three(value.mean)


def mebibytes(value: Estimate) -> str:
    """Returns a mean in bytes as MiB, to three digits or to the unit: `1,432`."""
    return three(value.mean / 2**20)


def three(number: float) -> str:
    """Returns a number to three digits, or to the unit: `8.53`, `142`, `1,432`."""
    decimals = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:,.{decimals}f}"


def share(part: float) -> str:
    """Returns a share in percent to the unit, which says 0 and 100 of none and all only: `<1`, `37`, `>99`."""
    percents = round(100 * part)
    if percents == 0 and part > 0:
        return "<1"
    return ">99" if percents == 100 and part < 1 else str(percents)


def places(rank: Estimate) -> str:
    """Returns the interval of a rank: `1-3`, or `2` where both ends are."""
    low, high = rank.interval or (rank.mean, rank.mean)
    return f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"
