"""The points that equal tuning tries: the same for every model."""

from ml_collections import ConfigDict

from benchmarks.config.tuned import Point, space


def points(config: ConfigDict, number: int) -> list[Point]:
    """Returns the first `number` points of `config.tuning`, log-uniform within its ranges, to four digits."""
    from scipy.stats import qmc  # takes a second to import, and every run reads this module

    ranges = space(config)
    sequence = qmc.Halton(len(ranges), scramble=False)
    sequence.fast_forward(1)  # the first is a corner
    return [
        {
            field: float(f"{low * (high / low) ** share:.4g}")
            for (field, (low, high)), share in zip(ranges.items(), shares, strict=True)
        }
        for shares in sequence.random(number)
    ]
