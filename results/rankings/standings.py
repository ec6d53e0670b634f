"""How sure ranks are: how often a model comes first, and where it ranks, when seeds and test examples are resampled."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from results.rankings.resampling import SAMPLES, seed_multipliers
from results.rankings.significance import LEVEL, Scores
from results.rankings.statistics import Estimate

Key = TypeVar("Key", bound=Hashable)

# Scores that agree to as many decimals are equal: what follows is rounding.
_DECIMALS = 12
# Of scores that are ranked at once: 32 MiB of doubles.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Standing:
    """How sure a model's rank is.

    Attributes:
      first_share: the share of samples in which it comes first; models that tie for it share the sample.
      rank: the mean over the samples, and the interval that holds it in 95% of them. Models that tie may have any of
        their places.
    """

    first_share: float
    rank: Estimate


@dataclass(frozen=True)
class Standings(Generic[Key]):
    """The standings of a ranking.

    Attributes:
      of: the standing of each model; one with a single seed and no predictions has none, nor has one that is alone.
      samples: how many there are.
      examples: how many test examples each draws; 0 where only seeds are drawn.
      without_examples: the models whose examples are not drawn: some run has no predictions, or of other examples.
    """

    of: Mapping[Key, Standing] = field(default_factory=dict)
    samples: int = 0
    examples: int = 0
    without_examples: tuple[Key, ...] = ()


def standings(models: Mapping[Key, Scores]) -> Standings[Key]:
    """Returns how sure the ranks of models are.

    Every sample draws test examples and shifts seeds, the same for all models (`results.rankings.resampling`); models
    that do not have the same seeds have theirs shifted independently. A model with one seed and no predictions takes
    part with its score as it is.
    """
    examples = _shared_examples(models)
    drawn = {key for key, scores in models.items() if _examples_of(scores) == {examples}}
    measured = [key for key in models if key in drawn or len(models[key].by_seed) > 1]
    if len(models) < 2 or not measured:
        return Standings()
    lengths = [len(each.scores) for key in drawn for each in models[key].resampled.values()]
    samples = min(lengths, default=SAMPLES)
    scores = np.stack([_means(each, samples, key in drawn) for key, each in models.items()], axis=1)
    scores = scores[np.isfinite(scores).all(axis=1)]  # no AUC without positives
    if not len(scores):
        return Standings()
    first, best, worst = _places(scores)
    places = {key: place for place, key in enumerate(models)}
    counts = [each.count for key in drawn for each in models[key].resampled.values()]
    return Standings(
        {
            key: Standing(
                float(first[places[key]]), _rank(best[:, places[key]], worst[:, places[key]])
            )
            for key in measured
        },
        samples=len(scores),
        examples=next(iter(counts), 0),
        without_examples=tuple(key for key in models if key not in drawn),
    )


def _shared_examples(models: Mapping[Key, Scores]) -> str:
    """Returns the digest of the test examples that most models were tested on; empty where none has predictions."""
    sets = Counter(
        each
        for scores in models.values()
        if len(_examples_of(scores)) == 1
        for each in _examples_of(scores)
    )
    return min(sets, key=lambda each: (-sets[each], each), default="")


def _examples_of(scores: Scores) -> set[str]:
    return {each.examples for each in scores.resampled.values()}


def _means(scores: Scores, samples: int, examples_too: bool) -> np.ndarray:
    """Returns a model's mean over its seeds on each sample, [samples]."""
    seeds = sorted(scores.by_seed)
    of_seeds = np.array([scores.by_seed[seed] for seed in seeds])
    means: float | np.ndarray = of_seeds.mean()
    if examples_too:
        means = np.mean([scores.resampled[seed].scores[:samples] for seed in seeds], axis=0)
    shift = seed_multipliers(seeds)[:samples] @ (of_seeds - of_seeds.mean())
    return np.round(means + shift, _DECIMALS)


def _places(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (each model's share of first places, its best, its worst place among those that tie with it).

    Args:
      scores: [samples, models].

    Returns:
      Float [models], int [samples, models] and int [samples, models].
    """
    samples, models = scores.shape
    best, worst = np.empty((2, samples, models), np.int32)
    size = max(1, _BLOCK // models)
    for begin in range(0, samples, size):
        block = -scores[begin : begin + size]
        order = np.argsort(block, axis=1, kind="stable")
        ordered = np.take_along_axis(block, order, axis=1)
        begins = np.ones(block.shape, bool)
        begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        ends = np.ones(block.shape, bool)
        ends[:, :-1] = begins[:, 1:]
        place = np.arange(1, models + 1)
        highest = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
        lowest = np.where(ends, place, models)[:, ::-1]
        lowest = np.minimum.accumulate(lowest, axis=1)[:, ::-1]
        np.put_along_axis(best[begin : begin + size], order, highest, axis=1)
        np.put_along_axis(worst[begin : begin + size], order, lowest, axis=1)
    leads = best == 1
    first = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=0)
    return first, best, worst


def _rank(best: np.ndarray, worst: np.ndarray) -> Estimate:
    low = float(np.quantile(best, LEVEL / 2, method="inverted_cdf"))
    high = float(np.quantile(worst, 1 - LEVEL / 2, method="inverted_cdf"))
    mean = float(np.mean(best, dtype=np.float64) + np.mean(worst, dtype=np.float64)) / 2
    return Estimate(len(best), mean, None, low, high)
