"""The figures of one ranking, asked for by statements; each check has a verdict of its own."""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from results.rankings.examples import by_seed_if_alike
from results.rankings.rows import Row, Table
from results.rankings.significance import (
    LEVEL,
    PairedTest,
    Scores,
    p_value_of,
    paired_test,
)
from results.rankings.statistics import Estimate, estimate, paired_ratio
from results.records import tasks
from results.records.evaluations import EvaluationRecord
from results.records.groups import Group
from results.records.schema import RunRecord
from results.tables.cells import count, points, three

# "Similar" accuracy, and accuracy that is "reached", are within this of the other's, interval included.
MARGIN = 0.01

_WITHIN = f"above {-100 * MARGIN:.0f}"
_SPOKEN = {"macs": "MACs"}


HOLDS, FAILS, OPEN, UNKNOWN = "holds", "does not hold", "cannot be told", "not measured"


@dataclass(frozen=True)
class Check:
    """One part of a statement.

    Attributes:
      text: its figures, or what was missing.
      as_wanted: whether the figure, or the mean of several, is on the wanted side of the bound; None where it was not
        measured.
      p_value: two-sided, of the mean being the bound itself; None for counts, which are exact.
      p_corrected: the same, corrected for all comparisons of accuracy in the ranking; None for speeds.
      of_speed: whether it compares speeds: these are few, far apart, and judged by their own intervals.
    """

    text: str
    as_wanted: bool | None
    p_value: float | None = None
    p_corrected: float | None = None
    of_speed: bool = False

    @property
    def verdict(self) -> str:
        """A mean on either side of the bound counts only if chance would seldom put it there."""
        if self.as_wanted is None:
            return UNKNOWN
        p_value = self.p_value if self.p_corrected is None else self.p_corrected
        if p_value is not None and not p_value <= LEVEL:
            return OPEN
        return HOLDS if self.as_wanted else FAILS


class Evidence:
    """The rows of one ranking, asked by the names of models.

    Args:
      table: the ranking.
      tables: all rankings, for what was run at other image sizes, which are rankings of their own.
    """

    def __init__(self, table: Table, tables: Sequence[Table] = ()):
        self._rows = table.rows
        self._metric = tasks.find(table.group.task).spoken
        alike = _but_for_size(table.group)
        others = [each for each in tables if each is not table]
        self._at_other_sizes = [
            row for each in others if _but_for_size(each.group) == alike for row in each.rows
        ]
        for row in self._rows[:1]:  # read all predictions at once, which is quicker
            row.examples.of([run for each in self._rows for run in each.completed])

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
        return self._difference(one, other, -MARGIN, _WITHIN)

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
        logarithm = Estimate(ratio.count, math.log(ratio.mean), None, math.log(low), math.log(high))
        return Check(
            f"{text}, 95% interval {low:.3g} to {high:.3g} over {ratio.count} seeds (below 1)",
            ratio.mean < 1,
            p_value_of(logarithm),
            of_speed=True,
        )

    def sizes(self, name: str) -> list[int]:
        """Returns the image sizes at which a model completed a run, in rankings that are otherwise alike."""
        return sorted(self._by_size(name))

    def more_accurate_at(self, name: str, larger: int, smaller: int) -> Check:
        """Returns `more_accurate` of a model at one image size against another, in pixels."""
        return self._difference_at(name, larger, smaller, 0.0, "above 0")

    def as_accurate_at(self, name: str, larger: int, smaller: int) -> Check:
        """Returns `as_accurate` of a model at one image size against another, in pixels."""
        return self._difference_at(name, larger, smaller, -MARGIN, _WITHIN)

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
        measured = []
        for run, evaluation in evaluated:
            score = evaluation.metrics.get(tasks.find(run.dataset.task).primary, math.nan)
            if math.isfinite(score):
                scores.setdefault(run.seed, []).append(score)
                measured.append((run, evaluation))
        by_seed = {seed: estimate(values).mean for seed, values in scores.items()}
        seeds = [run.seed for run, _ in measured]
        resampled = by_seed_if_alike(seeds, row.examples.of_evaluations(measured))
        compressed = Scores(by_seed, resampled)
        return self._judged((name, compressed), (other, row.test_scores), -MARGIN, _WITHIN)

    def _difference(self, one: str, other: str, bound: float, wanted: str) -> Check:
        first, second = self._row(one), self._row(other)
        if first is None or second is None or not first.scores or not second.scores:
            return self._needs((one, other), "completed runs")
        return self._judged((one, first.test_scores), (other, second.test_scores), bound, wanted)

    def _difference_at(
        self, name: str, larger: int, smaller: int, bound: float, wanted: str
    ) -> Check:
        rows = self._by_size(name)
        first, second = ((f"{name} at {s}", rows[s].test_scores) for s in (larger, smaller))
        return self._judged(first, second, bound, wanted)

    def _by_size(self, name: str) -> dict[int, Row]:
        rows: dict[int, Row] = {}
        for row in (*self._rows, *self._at_other_sizes):
            if row.model == name and row.scores:
                rows.setdefault(row.image_size, row)
        return rows

    def _judged(
        self, first: tuple[str, Scores], second: tuple[str, Scores], bound: float, wanted: str
    ) -> Check:
        """Returns whether the difference of two models' scores is above a bound."""
        names = f"{self._metric}, {first[0]} - {second[0]}"
        test = paired_test(first[1], second[1], bound)
        if test is None:
            return Check(f"{names}: no seed in common", None)
        text = f"{names} = {points(test.difference)} points"
        if test.p_value is None:
            return Check(f"{text}: {_why_no_interval(test, first, second)}", None)
        over, remark = _over(test, first, second)
        return Check(
            f"{text} over {over} ({wanted}){remark}", test.difference.mean > bound, test.p_value
        )

    def _count(self, name: str, what: str) -> int | None:
        row = self._row(name)
        return row.agreed(lambda run: getattr(run.model, what)) if row else None

    def _row(self, name: str) -> Row | None:
        """Returns the row of a model: the best, where it is there at several image sizes."""
        return next((row for row in self._rows if row.model == name), None)

    def _needs(self, names: Collection[str], what: str) -> Check:
        absent = [name for name in names if not self._row(name)]
        return Check(f"needs {_SPOKEN.get(what, what)} of {' and '.join(absent or names)}", None)


def _but_for_size(group: Group) -> Group:
    """Returns the group without the image size that it was set to."""
    settings = tuple(item for item in group.settings if item[0] != "image_size")
    return dataclasses.replace(group, settings=settings)


def _without_interval(estimate: Estimate) -> str:
    if estimate.count == 1:
        return "needs several seeds"
    return f"the same on all {estimate.count} seeds, which gives no interval"


def _why_no_interval(
    test: PairedTest, first: tuple[str, Scores], second: tuple[str, Scores]
) -> str:
    if test.examples:
        return f"the same on all {test.examples:,} test examples, which gives no interval"
    if test.seeds == 1:
        return f"needs several seeds, or predictions: {_no_examples(first, second)}"
    return _without_interval(test.difference)


def _over(
    test: PairedTest, first: tuple[str, Scores], second: tuple[str, Scores]
) -> tuple[str, str]:
    """Returns (what an interval is over, what to keep in mind of it)."""
    if not test.examples:
        return f"{test.seeds} seeds alone, as {_no_examples(first, second)}", ""
    examples = f"{test.examples:,} test examples"
    if test.seeds > 1:
        return f"{test.seeds} seeds and {examples}", ""
    remark = "; one seed: for these weights, not for the recipe"
    if test.discordant is not None:
        one, other = test.discordant
        remark += f"; by McNemar's test, only {first[0]} is right on {one:,}, only {second[0]} on {other:,}"
    return examples, remark


def _no_examples(first: tuple[str, Scores], second: tuple[str, Scores]) -> str:
    """Returns why two models' test examples are not compared one by one."""
    lacking = [name for name, scores in (first, second) if not scores.resampled]
    if lacking:
        verb = "has" if len(lacking) == 1 else "have"
        return f"{' and '.join(lacking)} {verb} no predictions"
    return "their test examples are not the same"


def _speeds(row: Row) -> dict[int, float]:
    """Returns the inference speed, images per second, by seed."""
    return row.by_seed(lambda run: run.throughput.infer_images_per_second)
