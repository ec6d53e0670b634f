"""Means, intervals and ranks over seeds."""

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scipy.special import stdtrit  # scipy.stats would take a second to import

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, in the unit of the values.

    Attributes:
      count: the number of values.
      mean: their mean.
      std: sample standard deviation (n - 1); None for one value.
      low, high: the two-sided Student's t interval of the mean; None for one value.
    """

    count: int
    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval's ends; None for one value."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Returns the mean of `values` with its t interval: mean ± t(n - 1) · std / √n.

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
    half_width = _t_quantile(count - 1, (1 + confidence) / 2) * std / math.sqrt(count)
    return Estimate(count, mean, std, mean - half_width, mean + half_width)


def prediction_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Returns where one more value of the same normal distribution is expected: mean ± t(n - 1) · std · √(1 + 1/n).

    None for fewer than two values.
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
    differences = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    return estimate(differences, confidence) if differences else None


def paired_ratio(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = 0.95
) -> Estimate | None:
    """Returns the geometric mean of `first / second` over the seeds both have, or None if they share none.

    The interval is that of the mean of the logarithms; `std` is None. All values are above 0.
    """
    logs = [math.log(first[seed] / second[seed]) for seed in sorted(first.keys() & second.keys())]
    if not logs:
        return None
    log = estimate(logs, confidence)
    ends = (None if end is None else math.exp(end) for end in (log.low, log.high))
    return Estimate(log.count, math.exp(log.mean), None, *ends)


def welch_difference(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> Estimate:
    """Returns the mean of `first` less that of `second`, of independent samples, with Welch's interval.

    Welch 1947, Biometrika 34: the two need neither the same count nor the same variance. `count` is
    that of the smaller sample, and `std` None; there is no interval where either has one value.
    """
    one, other = estimate(first, confidence), estimate(second, confidence)
    mean, count = one.mean - other.mean, min(one.count, other.count)
    if one.std is None or other.std is None:
        return Estimate(count, mean)
    errors = [one.std**2 / one.count, other.std**2 / other.count]
    error = math.fsum(errors)
    if error == 0:
        return Estimate(count, mean, None, mean, mean)
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
    own place: 1, 1, 3. Keys of equal mean keep the order they came in.

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
    """Whether the interval of the paired difference spans 0; without one, whether means agree."""
    difference = paired_difference(leader, other)
    if difference is None or difference.interval is None:
        return equal_means
    low, high = difference.interval
    return low <= 0 <= high


@functools.lru_cache(1024)
def _t_quantile(degrees: float, probability: float) -> float:
    return float(stdtrit(degrees, probability))
