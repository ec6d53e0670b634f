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
from results.records import evaluations, layout, predictions, tasks
from results.records.evaluations import EvaluationRecord
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


@dataclass(frozen=True)
class _Source:
    """Predictions of a run, or of an evaluation of it.

    Attributes:
      run: the run.
      evaluation: the evaluation's name; "" for the run itself.
      metrics: what the record says of it.
    """

    run: RunRecord
    evaluation: str
    metrics: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str]:
        return self.run.run_id, self.evaluation


def by_seed_if_alike(
    seeds: Sequence[int], resampled: Sequence[Resampled | None]
) -> dict[int, Resampled]:
    """Returns resampled scores by seed; none unless all are there, of the same examples, with a seed each."""
    known = {seed: each for seed, each in zip(seeds, resampled, strict=True) if each is not None}
    sets = {each.examples for each in known.values()}
    return known if len(known) == len(seeds) and len(sets) == 1 else {}


class PredictedExamples:
    """The predictions of runs, as scores on resampled test examples."""

    def __init__(self, folders: Mapping[str, Path]):
        """Reads nothing yet.

        Args:
          folders: where each run's files lie, by run id.
        """
        self._folders = folders
        self._resampled: dict[tuple[str, str], Resampled | None] = {}
        self.problems: list[Problem] = []  # predictions that were left out

    def of(self, runs: Sequence[RunRecord]) -> list[Resampled | None]:
        """Returns the resampled scores of each run; None for one without predictions, or whose are left out.

        To ask for many runs at once is quicker than for one after another.
        """
        return self._of([_Source(run, "", run.metrics.test) for run in runs])

    def of_evaluations(
        self, evaluated: Sequence[tuple[RunRecord, EvaluationRecord]]
    ) -> list[Resampled | None]:
        """Returns the same for evaluations of runs."""
        return self._of([_Source(run, each.name, each.metrics) for run, each in evaluated])

    def _of(self, sources: Sequence[_Source]) -> list[Resampled | None]:
        batch: list[tuple[tuple[str, str], _Read]] = []
        size = 0
        for source in sources:
            if source.key in self._resampled or source.run.run_id not in self._folders:
                continue
            self._resampled[source.key] = None
            read = self._read(source)
            if read is not None:
                batch.append((source.key, read))
                size += read.size
            if size > _BATCH:
                self._resample(batch)
                batch, size = [], 0
        self._resample(batch)
        return [self._resampled.get(source.key) for source in sources]

    def _read(self, source: _Source) -> _Read | None:
        folder = self._folders[source.run.run_id]
        if source.evaluation:
            path = evaluations.predictions_of(folder, source.evaluation)
        else:
            path = layout.predictions_in(folder, _SPLIT)
        if not path.is_file():
            return None
        try:
            kept = predictions.read_file(path, folder, source.run, _SPLIT)
            return _checked(kept, source)
        except RecordError as error:
            self.problems.append(Problem(path, f"{error} Intervals go without it."))
            return None

    def _resample(self, batch: Iterable[tuple[tuple[str, str], _Read]]) -> None:
        alike: dict[tuple[str, int], list[tuple[tuple[str, str], _Read]]] = defaultdict(list)
        for key, read in batch:
            labels = read.outcomes.positive.shape[1] if isinstance(read.outcomes, Scored) else 0
            alike[read.examples, labels].append((key, read))
        for (examples, _), same in alike.items():
            outcomes = [read.outcomes for _, read in same]
            scored = [each for each in outcomes if isinstance(each, Scored)]
            correct = [each for each in outcomes if not isinstance(each, Scored)]
            scores = resampled_metric(scored) if scored else resampled_accuracy(np.stack(correct))
            for place, (key, read) in enumerate(same):
                decided = None if scored else correct[place]
                self._resampled[key] = Resampled(examples, read.count, scores[place], decided)


def _checked(kept: Predictions, source: _Source) -> _Read:
    """Returns predictions in the order of the split.

    Raises:
      RecordError: there are none, or they do not give the score of the record.
    """
    order = np.argsort(kept.index, kind="stable")
    if not len(order):
        raise RecordError("it has no examples.")
    task = tasks.find(source.run.dataset.task)
    outcomes: np.ndarray | Scored
    if isinstance(kept, SingleLabel):
        truth = kept.label[order]
        outcomes = correct = truth == kept.predicted[order]
        score = float(correct.mean())
    else:
        truth = kept.positive[order]
        scored = Scored(task.primary, confidence.of_logits(kept.logits[order], truth), truth)
        outcomes = scored
        (score,) = scored.score(np.ones((1, len(order)), np.int64)).tolist()
    recorded = source.metrics.get(task.primary)
    if recorded is None or not abs(score - recorded) <= _MOST_OFF:
        raise RecordError(
            f"it gives a {task.spoken} of {score:.4f} and the record says {recorded}: "
            "it is of other weights."
        )
    digest = hashlib.sha256(kept.index[order].astype(np.int64).tobytes())
    digest.update(np.ascontiguousarray(truth.astype(np.int64)).tobytes())
    return _Read(digest.hexdigest(), len(order), outcomes)
