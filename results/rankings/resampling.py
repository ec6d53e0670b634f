"""Scores on resampled test examples: what a run would have scored on other draws of as many examples.

The draws depend on the number of examples alone. So two runs on the same examples, whatever ranking they are in, have
scores on the same draws, and their differences can be taken draw by draw; and the same records give the same numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLES = 2000
# What all random numbers here derive from.
SEED = 20_161_107
# A mean average precision of many labels takes long: it gets fewer samples, which still give a standard error to 7%.
FEWEST_SAMPLES = 100
_MOST_LABELS_OF_EXAMPLES = 40_000_000
# Of a block of counts: 32 MiB of int64 while they are made.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Scored:
    """The confidence in each label of each example.

    Attributes:
      metric: `roc_auc` or `mean_average_precision`.
      confidence: float [examples, labels].
      positive: whether an example has a label, bool [examples, labels].
    """

    metric: str
    confidence: np.ndarray
    positive: np.ndarray

    def score(self, counts: np.ndarray) -> np.ndarray:
        """Returns the metric [samples] on examples counted `counts` [samples, examples] times; NaN where undefined."""
        if self.metric == "roc_auc":
            return roc_auc(self.positive[:, 0], self.confidence[:, 0], counts)
        total, measured = np.zeros(len(counts)), np.zeros(len(counts))
        for positive, confidence in zip(self.positive.T, self.confidence.T, strict=True):
            precision = average_precision(positive, confidence, counts)
            known = np.isfinite(precision)
            total += np.where(known, precision, 0.0)
            measured += known
        with np.errstate(invalid="ignore"):
            return total / measured

    @property
    def samples(self) -> int:
        """How many samples its score is worked out on."""
        return int(np.clip(_MOST_LABELS_OF_EXAMPLES // self.positive.size, FEWEST_SAMPLES, SAMPLES))


def roc_auc(positive: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the area under the ROC curve [samples], NaN without positives or without negatives.

    As `sklearn.metrics.roc_auc_score` with the counts as weights of the examples.

    Args:
      positive: bool [examples].
      score: float [examples].
      counts: [samples, examples].
    """
    order = np.argsort(score, kind="stable")
    counted = counts[:, order].astype(np.float64)
    first_of_equals = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positives = np.add.reduceat(counted * positive[order], first_of_equals, axis=1)
    negatives = np.add.reduceat(counted * ~positive[order], first_of_equals, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.sum(positives * (below + negatives / 2), axis=1) / pairs


def average_precision(positive: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the average precision [samples], NaN without positives.

    As `sklearn.metrics.average_precision_score` with the counts as weights of the examples.

    Args:
      positive: bool [examples].
      score: float [examples].
      counts: [samples, examples].
    """
    order = np.argsort(-score, kind="stable")
    counted = counts[:, order].astype(np.float64)
    last_of_equals = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    true = np.cumsum(counted * positive[order], axis=1)[:, last_of_equals]
    decided = np.cumsum(counted, axis=1)[:, last_of_equals]
    gained = np.diff(true, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore"):
        return np.sum(gained * (true / np.maximum(decided, 1.0)), axis=1) / true[:, -1]


def example_counts(examples: int, samples: int = SAMPLES) -> Iterator[np.ndarray]:
    """Yields, block by block of samples, how often each example is drawn: int64 [samples, examples].

    A sample is as many draws with replacement as there are examples. Fewer samples are the first of more.
    """
    size = max(1, _BLOCK // examples)
    for begin in range(0, samples, size):
        block = np.random.default_rng([SEED, examples, begin])
        drawn = block.integers(examples, size=(size, examples))
        drawn += np.arange(size)[:, np.newaxis] * examples
        counts = np.bincount(drawn.ravel(), minlength=size * examples).reshape(size, examples)
        yield counts[: samples - begin]


def seed_multipliers(seeds: Sequence[int], samples: int = SAMPLES) -> np.ndarray:
    """Returns by what multiples of the seeds' deviations from their mean each sample shifts it, [samples, seeds].

    A wild bootstrap (Wu 1986, doi:10.1214/aos/1176350142): draws of two or three seeds with replacement would be far
    too much alike. So shifted, a mean of n values and the difference of two models' means vary as their intervals say,
    with Student's t of n - 1 degrees of freedom. Zeros for a single seed.
    """
    number = len(seeds)
    if number == 1:
        return np.zeros((samples, 1))
    chance = np.random.default_rng([SEED, *(seed % 2**32 for seed in seeds)])
    normal = chance.standard_normal((samples, number))
    spread = chance.chisquare(
        number - 1, (samples, 1)
    )  # times the variance over the seeds, that of all / (n - 1)
    return normal / np.sqrt(number * spread)


def resampled_accuracy(correct: np.ndarray) -> np.ndarray:
    """Returns each run's accuracy on the samples, float64 [runs, SAMPLES].

    Args:
      correct: whether a run was right, bool [runs, examples].
    """
    examples = correct.shape[1]
    # Counts of up to 2^24 are exact in float32, and so are their sums, in whatever order they are added.
    right = correct.T.astype(np.float32)
    blocks = [counts.astype(np.float32) @ right for counts in example_counts(examples)]
    return np.concatenate(blocks).T.astype(np.float64) / examples


def resampled_metric(runs: Sequence[Scored]) -> np.ndarray:
    """Returns each run's metric on the samples, float64 [runs, samples], NaN where it is undefined.

    Args:
      runs: on the same examples.
    """
    samples, examples = runs[0].samples, len(runs[0].positive)
    return np.concatenate(
        [
            np.stack([run.score(counts) for run in runs])
            for counts in example_counts(examples, samples)
        ],
        axis=1,
    )
