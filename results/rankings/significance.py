"""Whether a paired difference is on one side of a bound: intervals and p-values over seeds and over test examples.

Seeds and test examples are crossed: every seed of both models is tested on the same examples. The variance of a
difference is the sum of what the bootstrap finds over examples (with the seeds as they are) and of what the seeds show
(s² / n); this counts their interaction twice, and so is a little too large rather than too small (Owen 2007, "The
pigeonhole bootstrap", arXiv:0712.1111). Its degrees of freedom are Welch's and Satterthwaite's: a few seeds widen
the interval by as much as they matter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import bdtr, gammaln, stdtr, stdtrit  # scipy.stats would take a second to import

from results.rankings.examples import Resampled
from results.rankings.statistics import Estimate, paired_difference

LEVEL = 0.05


@dataclass(frozen=True)
class Scores:
    """What one model scored.

    Attributes:
      by_seed: its scores.
      resampled: the same on resampled test examples, by seed; empty where some run has no predictions.
    """

    by_seed: Mapping[int, float]
    resampled: Mapping[int, Resampled] = field(default_factory=dict)


@dataclass(frozen=True)
class PairedTest:
    """A paired difference, and how sure it is to be on its side of a bound.

    Attributes:
      seeds: how many both have.
      examples: how many test examples the interval is over; 0 for one over seeds alone.
      difference: its mean and 95% interval.
      p_value: two-sided, of the difference being the bound itself; None without an interval.
      discordant: for one seed of both, how many examples only the first and only the second decided rightly, where
        the p-value is McNemar's of these.
    """

    seeds: int
    examples: int
    difference: Estimate
    p_value: float | None
    discordant: tuple[int, int] | None = None


def paired_test(first: Scores, second: Scores, bound: float = 0.0) -> PairedTest | None:
    """Returns how sure `first - second` is to be above or below `bound`; None if they share no seed.

    Over test examples and seeds where both have predictions of the same examples, else over seeds alone. With one seed
    in common it is over examples alone: it then says how these weights differ, not how the models would.
    """
    difference = paired_difference(first.by_seed, second.by_seed)
    if difference is None:
        return None
    if not same_examples(first, second):
        return PairedTest(difference.count, 0, difference, p_value_of(difference, bound))
    seeds = sorted(first.by_seed.keys() & second.by_seed.keys())
    pairs = [(first.resampled[seed], second.resampled[seed]) for seed in seeds]
    count = pairs[0][0].count
    resampled = np.mean([one.scores - other.scores for one, other in pairs], axis=0)
    over_examples = float(np.var(resampled[np.isfinite(resampled)], ddof=1))
    over_seeds = 0.0 if difference.std is None else difference.std**2 / difference.count
    error = math.sqrt(over_examples + over_seeds)
    if error <= 1e-12:
        whole = Estimate(difference.count, difference.mean, difference.std)
        return PairedTest(len(seeds), count, whole, None)
    degrees = error**4 / (
        over_examples**2 / max(count - 1, 1) + over_seeds**2 / max(len(seeds) - 1, 1)
    )
    half_width = float(stdtrit(degrees, 1 - LEVEL / 2)) * error
    mean = difference.mean
    estimate = Estimate(len(seeds), mean, difference.std, mean - half_width, mean + half_width)
    if len(seeds) == 1 and bound == 0 and pairs[0][0].correct is not None:
        discordant = _discordant(*pairs[0])
        return PairedTest(1, count, estimate, mcnemar(*discordant), discordant)
    p_value = 2 * float(stdtr(degrees, -abs(mean - bound) / error))
    return PairedTest(len(seeds), count, estimate, p_value)


def same_examples(first: Scores, second: Scores) -> bool:
    """Returns whether both have predictions, of the same examples with the same labels."""
    sets = {each.examples for scores in (first, second) for each in scores.resampled.values()}
    return bool(first.resampled) and bool(second.resampled) and len(sets) == 1


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns McNemar's two-sided mid-p of as many examples that only one of two models decided rightly.

    The exact p of the binomial test less the probability of what was seen: the exact one is too large on average
    (Fagerland, Lydersen and Laake 2013, doi:10.1186/1471-2288-13-91). 1 where the two are equal.
    """
    number, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    chosen = gammaln(number + 1) - gammaln(fewer + 1) - gammaln(number - fewer + 1)
    seen = math.exp(chosen - number * math.log(2))
    return float(2 * bdtr(fewer, number, 0.5) - seen)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values corrected by Holm (1979): the chance of one false finding among all is at most the level."""
    number = len(p_values)
    corrected = [0.0] * number
    largest = 0.0
    for place, index in enumerate(sorted(range(number), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (number - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def p_value_of(estimate: Estimate, bound: float = 0.0) -> float | None:
    """Returns the two-sided p-value of a mean over seeds being `bound`; None without an interval."""
    if estimate.high is None:
        return None
    degrees = estimate.count - 1
    error = (estimate.high - estimate.mean) / float(stdtrit(degrees, 1 - LEVEL / 2))
    return 2 * float(stdtr(degrees, -abs(estimate.mean - bound) / error))


def _discordant(one: Resampled, other: Resampled) -> tuple[int, int]:
    right, other_right = one.correct, other.correct
    if right is None or other_right is None:
        return 0, 0
    return int(np.sum(right & ~other_right)), int(np.sum(other_right & ~right))
