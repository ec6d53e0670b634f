"""Means, intervals and ranks over seeds.

Equal values give no interval: they show that the spread is too small for the measurement to resolve (an accuracy is a
count of the test split's examples), not that there is none, and Student's t would be a division by zero. Identical
indications have an uncertainty all the same: JCGM 100:2008 (GUM), F.2.2.1.
"""

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scipy.special import stdtrit  # scipy.stats would take a second to import

Key = TypeVar("Key", bound=Hashable)

# A spread below this part of the values is rounding (float32 has 24 bits, 6e-8): they are equal.
_RESOLUTION = 1e-7


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, in the unit of the values.

    Attributes:
      count: the number of values.
      mean: their mean.
      std: sample standard deviation (n - 1); None for one value.
      low, high: the two-sided Student's t interval of the mean; None for one value and where all are equal.
    """

    count: int
    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval's ends; None for one value and where all are equal."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(
    values: Sequence[float], confidence: float = 0.95, scale: float | None = None
) -> Estimate:
    """Returns the mean of `values` with its t interval: mean ± t(n - 1) · std / √n.

    Args:
      values: one a seed.
      confidence: of the interval.
      scale: the size of what was measured, against which values count as equal; that of `values` by default.

    Raises:
      ValueError: there are no values.
    """
    count = len(values)
    if count == 0:
        raise ValueError("A mean needs at least one value.")
    if count == 1:
        return Estimate(1, float(values[0]))
    mean = math.fsum(values) / count  # exact sums: no result depends on the order of the values
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    if _equal(std, max(map(abs, values)) if scale is None else scale):
        return Estimate(count, mean, std)
    half_width = _t_quantile(count - 1, (1 + confidence) / 2) * std / math.sqrt(count)
    return Estimate(count, mean, std, mean - half_width, mean + half_width)


def prediction_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Returns where one more value of the same normal distribution is expected: mean ± t(n - 1) · std · √(1 + 1/n).

    None for fewer than two values, and where all are equal.
    """
    sample = estimate(values, confidence) if values else None
    if sample is None or sample.high is None:
        return None
    # The interval of the mean is √n times narrower than t · std.
    half_width = (sample.high - sample.mean) * math.sqrt(sample.count + 1)
    return sample.mean - half_width, sample.mean + half_width


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = 0.95
) -> Estimate | None:
    """Returns the mean of `first - second` over the seeds both have, or None if they share none.

    A seed fixes the order of the data for every model, so what that order adds to a score cancels
    in the difference, whose interval is then narrower than those of the two means would suggest.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    # A difference of two scores is as coarse as they are, however small it is.
    scale = max(max(abs(first[seed]), abs(second[seed])) for seed in common)
    return estimate([first[seed] - second[seed] for seed in common], confidence, scale)


def paired_ratio(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = 0.95
) -> Estimate | None:
    """Returns the geometric mean of `first / second` over the seeds both have, or None if they share none.

    The interval is that of the mean of the logarithms; `std` is None. All values are above 0.
    """
    logs = [math.log(first[seed] / second[seed]) for seed in sorted(first.keys() & second.keys())]
    if not logs:
        return None
    log = estimate(logs, confidence, scale=1.0)
    ends = (None if end is None else math.exp(end) for end in (log.low, log.high))
    return Estimate(log.count, math.exp(log.mean), None, *ends)


def welch_difference(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> Estimate:
    """Returns the mean of `first` less that of `second`, of independent samples, with Welch's interval.

    Welch 1947, Biometrika 34: the two need neither the same count nor the same variance. `count` is
    that of the smaller sample, and `std` None; there is no interval where either has one value, or the values of both
    are equal.
    """
    one, other = estimate(first, confidence), estimate(second, confidence)
    mean, count = one.mean - other.mean, min(one.count, other.count)
    if one.std is None or other.std is None:
        return Estimate(count, mean)
    errors = [one.std**2 / one.count, other.std**2 / other.count]
    error = math.fsum(errors)
    if _equal(math.sqrt(error), max(map(abs, (*first, *second)))):
        return Estimate(count, mean)
    shares = (e / error for e in errors)  # not squared errors: those of close values underflow
    degrees = 1 / math.fsum(
        share**2 / (part.count - 1) for share, part in zip(shares, (one, other), strict=True)
    )
    half_width = _t_quantile(degrees, (1 + confidence) / 2) * math.sqrt(error)
    return Estimate(count, mean, None, mean - half_width, mean + half_width)


def rank(scores: Mapping[Key, Mapping[int, float]]) -> dict[Key, int]:
    """Returns the rank of each key, best (highest mean score) first, as competitions give it.

    Walking down the means, a key that cannot be told
    from the leader of the current group shares the leader's rank; the next starts a group at its
    own place: 1, 1, 3. Keys of equal mean keep the order they came in. Over several seeds in common,
    equal differences do not tell two apart; over one or none, the means do.

    Args:
      scores: by key, the score of each seed.
    """
    means = {key: estimate(list(by_seed.values())).mean for key, by_seed in scores.items()}
    ranks: dict[Key, int] = {}
    leader = None
    for place, key in enumerate(sorted(scores, key=lambda key: -means[key]), start=1):
        if leader is None or not _tied(scores[leader], scores[key], means[leader] == means[key]):
            leader = key
            ranks[key] = place
        else:
            ranks[key] = ranks[leader]
    return ranks


def _tied(leader: Mapping[int, float], other: Mapping[int, float], equal_means: bool) -> bool:
    """Whether nothing tells two apart; see `rank`."""
    difference = paired_difference(leader, other)
    if difference is None or difference.count == 1:
        return equal_means
    if difference.interval is None:
        return True
    low, high = difference.interval
    return low <= 0 <= high


def _equal(spread: float, scale: float) -> bool:
    return spread <= _RESOLUTION * scale


@functools.lru_cache(1024)
def _t_quantile(degrees: float, probability: float) -> float:
    return float(stdtrit(degrees, probability))
