"""The points that equal tuning tries: the same for every model.

They are the first of the Halton sequence (J. H. Halton 1960), spread evenly over the logarithm of each range: the
middle, then the quarters, and so on. Asking for more points does not move the earlier ones.
"""

from collections.abc import Container

from ml_collections import ConfigDict
from scipy.stats import qmc

from benchmarks.config.tuned import Point, space

_DIGITS, _MOST_DIGITS = 4, 17


def points(config: ConfigDict, number: int) -> list[Point]:
    """Returns the first `number` points of `config.tuning`, log-uniform within its ranges, no two alike.

    They have four digits, and more only where a range is so narrow that they would be an earlier point's.
    """
    ranges = space(config)
    sequence = qmc.Halton(len(ranges), scramble=False)
    sequence.fast_forward(1)  # the first is a corner
    taken: dict[str, set[float]] = {field: set() for field in ranges}
    tried = []
    for shares in sequence.random(number):
        point = {}
        for (field, (low, high)), share in zip(ranges.items(), shares, strict=True):
            point[field] = _rounded(low * (high / low) ** share, taken[field])
            taken[field].add(point[field])
        tried.append(point)
    return tried


def _rounded(value: float, taken: Container[float]) -> float:
    """Returns the value with the fewest digits, four at least, that no earlier one has."""
    for digits in range(_DIGITS, _MOST_DIGITS):
        rounded = float(f"{value:.{digits}g}")
        if rounded not in taken:
            return rounded
    return float(value)
