"""The figures of one ranking, asked for by statements: each check holds, does not hold, or was not measured."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from results.rankings.rows import Row, Table
from results.rankings.statistics import Estimate, estimate, paired_difference, paired_ratio
from results.records import tasks
from results.records.evaluations import EvaluationRecord
from results.records.schema import RunRecord
from results.tables.cells import count, points, three

# "Similar" accuracy, and accuracy that is "reached", are within this of the other's, interval included.
MARGIN = 0.01

_SPOKEN = {"macs": "MACs"}


@dataclass(frozen=True)
class Check:
    """One part of a statement.

    Attributes:
      text: its figures, or what was missing.
      holds: None where it was not measured.
    """

    text: str
    holds: bool | None


class Evidence:
    """The rows of one ranking, asked by the names of models."""

    def __init__(self, table: Table):
        self._rows = table.rows
        self._metric = tasks.find(table.group.task).spoken

    def measured(self, names: Collection[str]) -> list[str]:
        """Returns those of the models that are in the ranking, in the order of `names`."""
        return [name for name in names if self._row(name)]

    def first(self, *names: str) -> str:
        """Returns the first of the models that is in the ranking; the first name where none is."""
        return next(iter(self.measured(names)), names[0])

    def labels(self) -> list[str]:
        """Returns the models in the ranking, each once."""
        return list(dict.fromkeys(row.model for row in self._rows))

    def parameters(self, name: str) -> int | None:
        """Returns how many parameters a model has in the ranking."""
        row = self._row(name)
        return row.agreed(lambda run: run.model.parameters) if row else None

    def num_classes(self, name: str) -> int | None:
        """Returns how many classes a model tells apart in the ranking."""
        row = self._row(name)
        return row.agreed(lambda run: run.model.num_classes) if row else None

    def size_ratio(
        self,
        larger: str,
        smaller: str,
        good: Callable[[float], bool],
        wanted: str,
        what: str = "parameters",
    ) -> Check:
        """Returns whether a count of one model over that of another is as wanted: counts are exact.

        Args:
          larger: the model whose count is divided.
          smaller: the model by whose count it is divided.
          good: whether the ratio is as wanted.
          wanted: the same in words, such as "above 2".
          what: the count, a field of the record's `Model`.
        """
        above, below = self._count(larger, what), self._count(smaller, what)
        if not above or not below:
            return self._needs((larger, smaller), what)
        ratio = above / below
        return Check(
            f"{_SPOKEN.get(what, what)}: {larger} {count(above)} / {smaller} {count(below)} = "
            f"{three(ratio)} ({wanted})",
            good(ratio),
        )

    def more_accurate(self, better: str, worse: str) -> Check:
        """Returns whether the interval of the paired difference lies above 0."""
        return self._difference(better, worse, 0.0, "above 0")

    def as_accurate(self, one: str, other: str) -> Check:
        """Returns whether the interval of the paired difference lies above -MARGIN."""
        return self._difference(one, other, -MARGIN, f"above {-100 * MARGIN:.0f}")

    def slower(self, slow: str, fast: str) -> Check:
        """Returns whether the interval of the ratio of inference speeds lies below 1."""
        above, below = self._row(slow), self._row(fast)
        if above is None or below is None:
            return self._needs((slow, fast), "records")
        if len({*above.devices, *below.devices}) > 1:
            return Check("inference speed: the two ran on different devices", None)
        ratio = paired_ratio(_speeds(above), _speeds(below))
        if ratio is None:
            return Check(
                f"inference images/s: {slow} and {fast} were not measured on the same seed", None
            )
        text = f"inference images/s: {slow} / {fast} = {ratio.mean:.3g}"
        if ratio.interval is None:
            return Check(f"{text}: {_without_interval(ratio)}", None)
        low, high = ratio.interval
        return Check(f"{text}, 95% interval {low:.3g} to {high:.3g} (below 1)", high < 1)

    def compressed(
        self, name: str
    ) -> Iterator[tuple[str, list[tuple[RunRecord, EvaluationRecord]]]]:
        """Yields the kinds of compressed weights of a model on its ranking's test split, with their evaluations."""
        row = self._row(name)
        kinds: dict[str, list[tuple[RunRecord, EvaluationRecord]]] = {}
        for run, evaluation in row.evaluations if row else ():
            data = evaluation.dataset, evaluation.split
            if evaluation.compression and data == (run.dataset.name, run.dataset.test_split):
                kinds.setdefault(evaluation.name, []).append((run, evaluation))
        yield from sorted(kinds.items())

    def as_accurate_compressed(
        self, name: str, evaluated: list[tuple[RunRecord, EvaluationRecord]], other: str
    ) -> Check:
        """Returns `as_accurate` of compressed weights against another model as it was trained."""
        row = self._row(other)
        if not row:
            return self._needs((other,), "records")
        scores: dict[int, list[float]] = {}
        for run, evaluation in evaluated:
            score = evaluation.metrics.get(tasks.find(run.dataset.task).primary, math.nan)
            if math.isfinite(score):
                scores.setdefault(run.seed, []).append(score)
        by_seed = {seed: estimate(values).mean for seed, values in scores.items()}
        return _judged(
            f"{self._metric}, {name} - {other}",
            by_seed,
            row.scores,
            -MARGIN,
            f"above {-100 * MARGIN:.0f}",
        )

    def _difference(self, one: str, other: str, bound: float, wanted: str) -> Check:
        first, second = self._row(one), self._row(other)
        if first is None or second is None or not first.scores or not second.scores:
            return self._needs((one, other), "completed runs")
        names = f"{self._metric}, {one} - {other}"
        return _judged(names, first.scores, second.scores, bound, wanted)

    def _count(self, name: str, what: str) -> int | None:
        row = self._row(name)
        return row.agreed(lambda run: getattr(run.model, what)) if row else None

    def _row(self, name: str) -> Row | None:
        """Returns the row of a model: the best, where it is there at several image sizes."""
        return next((row for row in self._rows if row.model == name), None)

    def _needs(self, names: Collection[str], what: str) -> Check:
        absent = [name for name in names if not self._row(name)]
        return Check(f"needs {_SPOKEN.get(what, what)} of {' and '.join(absent or names)}", None)


def _without_interval(estimate: Estimate) -> str:
    if estimate.count == 1:
        return "needs several seeds"
    return f"the same on all {estimate.count} seeds, which gives no interval"


def _speeds(row: Row) -> dict[int, float]:
    """Returns the inference speed, images per second, by seed."""
    return row.by_seed(lambda run: run.throughput.infer_images_per_second)


def _judged(
    names: str, first: dict[int, float], second: dict[int, float], bound: float, wanted: str
) -> Check:
    difference = paired_difference(first, second)
    if difference is None:
        return Check(f"{names}: no seed in common", None)
    text = f"{names} = {points(difference)} points"
    if difference.low is None:
        return Check(f"{text}: {_without_interval(difference)}", None)
    return Check(f"{text} over {difference.count} seeds ({wanted})", difference.low > bound)
