"""What runs made of each test example: read from the predictions beside their records, when asked for."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from results import RecordError
from results.rankings import confidence
from results.rankings.resampling import Scored, resampled_accuracy, resampled_metric
from results.records import layout, predictions, tasks
from results.records.folders import Problem
from results.records.predictions import Predictions, SingleLabel
from results.records.schema import RunRecord

_SPLIT = "test"
# Predictions of another training of the run would be further off than rounding and ties between classes are.
_MOST_OFF = 0.005
# Of predictions that are held at once, in bytes.
_BATCH = 1 << 24


@dataclass(frozen=True)
class Resampled:
    """A run's score on resampled test examples.

    Attributes:
      examples: a digest of which examples they are, and of their labels: the same for runs that can be compared.
      count: how many examples there are.
      scores: of the task's primary metric on each sample, float64 [samples]; NaN where it is undefined.
      correct: whether each example was decided rightly, bool [examples], in the order of the split; None where
        the metric is not the share of these.
    """

    examples: str
    count: int
    scores: np.ndarray
    correct: np.ndarray | None = None


@dataclass(frozen=True)
class _Read:
    """A run's predictions in the order of the split: `outcomes` is bool [examples] or `Scored`."""

    examples: str
    count: int
    outcomes: np.ndarray | Scored

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        if isinstance(self.outcomes, Scored):
            return self.outcomes.confidence.nbytes + self.outcomes.positive.nbytes
        return self.outcomes.nbytes


class PredictedExamples:
    """The predictions of runs, as scores on resampled test examples."""

    def __init__(self, folders: Mapping[str, Path]):
        """Reads nothing yet.

        Args:
          folders: where each run's files lie, by run id.
        """
        self._folders = folders
        self._resampled: dict[str, Resampled | None] = {}
        self.problems: list[Problem] = []  # predictions that were left out

    def of(self, runs: Sequence[RunRecord]) -> list[Resampled | None]:
        """Returns the resampled scores of each run; None for one without predictions, or whose are left out.

        To ask for many runs at once is quicker than for one after another.
        """
        batch: list[tuple[str, _Read]] = []
        size = 0
        for run in runs:
            if run.run_id in self._resampled or run.run_id not in self._folders:
                continue
            self._resampled[run.run_id] = None
            read = self._read(run)
            if read is not None:
                batch.append((run.run_id, read))
                size += read.size
            if size > _BATCH:
                self._resample(batch)
                batch, size = [], 0
        self._resample(batch)
        return [self._resampled.get(run.run_id) for run in runs]

    def _read(self, run: RunRecord) -> _Read | None:
        folder = self._folders[run.run_id]
        if predictions.find(folder, _SPLIT) is None:
            return None
        try:
            return _checked(predictions.read(folder, run, _SPLIT), run)
        except RecordError as error:
            where = layout.predictions_in(folder, _SPLIT)
            self.problems.append(Problem(where, f"{error} Intervals go without it."))
            return None

    def _resample(self, batch: Iterable[tuple[str, _Read]]) -> None:
        alike: dict[tuple[str, int], list[tuple[str, _Read]]] = defaultdict(list)
        for run_id, read in batch:
            labels = read.outcomes.positive.shape[1] if isinstance(read.outcomes, Scored) else 0
            alike[read.examples, labels].append((run_id, read))
        for (examples, _), same in alike.items():
            outcomes = [read.outcomes for _, read in same]
            scored = [each for each in outcomes if isinstance(each, Scored)]
            correct = [each for each in outcomes if not isinstance(each, Scored)]
            scores = resampled_metric(scored) if scored else resampled_accuracy(np.stack(correct))
            for place, (run_id, read) in enumerate(same):
                decided = None if scored else correct[place]
                self._resampled[run_id] = Resampled(examples, read.count, scores[place], decided)


def _checked(kept: Predictions, run: RunRecord) -> _Read:
    """Returns predictions in the order of the split.

    Raises:
      RecordError: there are none, or they do not give the score of the record.
    """
    order = np.argsort(kept.index, kind="stable")
    if not len(order):
        raise RecordError("it has no examples.")
    primary = tasks.find(run.dataset.task).primary
    outcomes: np.ndarray | Scored
    if isinstance(kept, SingleLabel):
        truth = kept.label[order]
        outcomes = correct = truth == kept.predicted[order]
        score = float(correct.mean())
    else:
        truth = kept.positive[order]
        scored = Scored(primary, confidence.of_logits(kept.logits[order], truth), truth)
        outcomes = scored
        (score,) = scored.score(np.ones((1, len(order)), np.int64)).tolist()
    recorded = run.metrics.test.get(primary)
    if recorded is None or not abs(score - recorded) <= _MOST_OFF:
        raise RecordError(
            f"it gives a {tasks.find(run.dataset.task).spoken} of {score:.4f} and the record says {recorded}: "
            "it is of other weights."
        )
    digest = hashlib.sha256(kept.index[order].astype(np.int64).tobytes())
    digest.update(np.ascontiguousarray(truth.astype(np.int64)).tobytes())
    return _Read(digest.hexdigest(), len(order), outcomes)
