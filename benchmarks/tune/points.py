"""The points that equal tuning tries: the same for every model.

They are the first of the Halton sequence (J. H. Halton 1960), spread evenly over the logarithm of each range: the
middle, then the quarters, and so on. Asking for more points does not move the earlier ones.
"""

from ml_collections import ConfigDict
from scipy.stats import qmc

from benchmarks.config.tuned import Point, space


def points(config: ConfigDict, number: int) -> list[Point]:
    """Returns the first `number` points of `config.tuning`, log-uniform within its ranges, to four digits."""
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
