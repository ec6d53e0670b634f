"""The search for one model's best point: its allowance, its rungs, its trials."""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

from ml_collections import ConfigDict

from benchmarks.config import tuned
from results import records
from results.records import tasks


@dataclasses.dataclass(frozen=True)
class Rung:
    """Trials of one model that are compared with one another.

    Attributes:
      number: its position, from 0.
      trials: how many there are.
      share: what each spends, as a fraction of one run's budget.
    """

    number: int
    trials: int
    share: float


@dataclasses.dataclass(frozen=True)
class Allowance:
    """What every model may spend on its search.

    Attributes:
      trials: how many points it may try.
      trial_fraction: the budget of a trial, as a fraction of a run's.
      halving: whether the better half of the trials trains for longer.
    """

    trials: int
    trial_fraction: float = 1.0
    halving: bool = False

    def rungs(self) -> list[Rung]:
        """Returns the rungs of a search, which together spend `trials` whole trials.

        Without halving there is one rung. With it (Jamieson and Talwalkar 2015, arXiv:1502.07943) the better half goes
        on until two are left, and every rung spends the same, so that fewer trials train for longer.
        """
        sizes = [self.trials]
        while self.halving and sizes[-1] > 2:
            sizes.append(math.ceil(sizes[-1] / 2))
        each = self.trial_fraction * self.trials / len(sizes)
        return [Rung(number, size, each / size) for number, size in enumerate(sizes)]


class Search:
    """The search for one model.

    Attributes:
      label: the model's name with its options.
      points: the points to try.
      records: those of the last rung, by the index of the point.
      examples: how many examples all trials have spent.
    """

    def __init__(self, config: ConfigDict, directory: Path, points: list[tuned.Point]):
        """Takes the configuration that the trials share; their folders are in `directory`."""
        self.label, self.points = config.model, points
        self.records: dict[int, records.RunRecord] = {}
        self.examples = 0
        self._config, self._directory = config, directory

    def trials(
        self, indices: Iterable[int], rung: Rung, halving: bool
    ) -> dict[int, tuple[ConfigDict, Path]]:
        """Returns the configuration and the folder of the trial of each of these points."""
        requested = {}
        for index in indices:
            trial = self._config.copy_and_resolve_references()
            trial.budget.amount = self._config.budget.amount * rung.share
            tuned.set_point(trial, self.points[index])
            name = f"{index}-rung{rung.number}" if halving else f"{index}"
            requested[index] = trial, self._directory / name
        return requested

    def judge(self, made: dict[int, records.RunRecord]) -> None:
        """Takes the records of a rung, by which the best points are then chosen."""
        self.records = made
        self.examples += sum(record.budget.examples_spent or 0 for record in made.values())

    def best(self, number: int) -> list[int]:
        """Returns the `number` best points of the last rung, best first; before any rung, the first points."""
        if not self.records:
            return list(range(number))
        return sorted(self.records, key=self._order)[:number]

    def _order(self, index: int) -> tuple:
        """Returns what trials are sorted by: those that completed, by the task's primary metric, then by loss."""
        record = self.records[index]
        metrics = record.metrics.validation
        if record.status != "completed":
            return (1, 0.0, 0.0, index)
        loss = metrics["loss"] if math.isfinite(metrics["loss"]) else math.inf
        score = metrics[tasks.find(record.dataset.task).primary]
        return (0, -score if math.isfinite(score) else math.inf, loss, index)
