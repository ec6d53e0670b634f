"""Records to the rows of tables: one ranking for each set of runs that may be compared."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from results.rankings.examples import PredictedExamples, by_seed_if_alike
from results.rankings.reported import Reported, beside
from results.rankings.significance import Scores
from results.rankings.standings import Standing, Standings, standings
from results.rankings.statistics import Estimate, estimate, paired_difference, rank
from results.records import settings, spending, tasks
from results.records.evaluations import EvaluationRecord
from results.records.groups import Group, device, group_of
from results.records.schema import RunRecord

# Of a model at an image size.
Key = tuple[str, int]
_NO_EXAMPLES = PredictedExamples({})


@dataclass(frozen=True)
class Row:
    """The runs of one model at one image size in one group, sorted by seed.

    Attributes:
      model: its label; where a model was run with two learning rates, say, each has a row of its own, and this says
        which: `resnet18 (optimizer.learning_rate=0.01)`.
      rank: None for a model none of whose runs completed.
      to_leader: the paired difference of its score from that of the first row, 0 or less; None in
        the first row, without a rank, and where the two have no seed in common.
      evaluations: of its runs on other data, each beside its run.
      examples: what its runs predicted for test examples.
      standings: returns how sure the ranks of its ranking are.
    """

    group: Group
    model: str
    image_size: int
    runs: tuple[RunRecord, ...]
    rank: int | None = None
    to_leader: Estimate | None = None
    evaluations: tuple[tuple[RunRecord, EvaluationRecord], ...] = ()
    examples: PredictedExamples = field(default=_NO_EXAMPLES, compare=False, repr=False)
    standings: Callable[[], Standings[Key]] = field(default=Standings, compare=False, repr=False)

    @property
    def key(self) -> Key:
        """What tells it from the other rows of its ranking."""
        return self.model, self.image_size

    @property
    def standing(self) -> Standing | None:
        """How sure its rank is; None where nothing says so."""
        return self.standings().of.get(self.key)

    @cached_property
    def memo(self) -> dict[str, Any]:
        """Values that were worked out already, by the name of their column."""
        return {}

    @cached_property
    def completed(self) -> tuple[RunRecord, ...]:
        """The runs that count: they completed, and measured their task's primary metric."""
        return tuple(run for run in self.runs if _counts(run))

    @property
    def evaluation_size(self) -> int:
        """The image side in pixels that its runs were evaluated at, where it is not that of training."""
        sizes = {run.config.get("eval_image_size") or self.image_size for run in self.runs}
        size = sizes.pop() if len(sizes) == 1 else self.image_size
        return int(size) if str(size).isdecimal() else self.image_size

    @property
    def seeds(self) -> int:
        """How many seeds completed."""
        return len({run.seed for run in self.completed})

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """The devices that the runs used, each once."""
        return tuple(sorted({device(run) for run in self.runs} - {""}))

    def by_seed(self, value: Callable[[RunRecord], float | None]) -> dict[int, float]:
        """Returns `value` of the completed runs by seed; a seed run more than once counts once."""
        values = defaultdict(list)
        for run in self.completed:
            number = value(run)
            if number is not None and math.isfinite(number):
                values[run.seed].append(number)
        return {seed: math.fsum(numbers) / len(numbers) for seed, numbers in values.items()}

    @cached_property
    def scores(self) -> dict[int, float]:
        """The task's primary metric on the test split, by seed."""
        return self.by_seed(_score)

    @cached_property
    def test_scores(self) -> Scores:
        """Its scores, and those on resampled test examples if every run has predictions, all of the same examples.

        Where a seed was run more than once, nothing is resampled.
        """
        seeds = [run.seed for run in self.completed]
        return Scores(self.scores, by_seed_if_alike(seeds, self.examples.of(self.completed)))

    @cached_property
    def score(self) -> Estimate | None:
        """The mean of the task's primary metric over the completed seeds."""
        return estimate(list(self.scores.values())) if self.scores else None

    def over_seeds(self, value: Callable[[RunRecord], float | None]) -> Estimate | None:
        """Returns the mean of `value` over the completed seeds; None where nothing was measured."""
        values = self.by_seed(value)
        return estimate(list(values.values())) if values else None

    def metric(self, split: str, name: str) -> Estimate | None:
        """Returns the mean of metric `name` on "test" or "validation" over the completed seeds."""
        return self.over_seeds(lambda run: getattr(run.metrics, split).get(name))

    def speed(self, value: Callable[[RunRecord], float | None]) -> Estimate | None:
        """Like `over_seeds`, but None when the runs used several devices: such a mean is the speed of none."""
        return self.over_seeds(value) if len(self.devices) <= 1 else None

    def agreed(self, value: Callable[[RunRecord], int | None]) -> int | None:
        """Returns what all runs say, failed ones included; None where they disagree."""
        values = {value(run) for run in self.runs} - {None}
        return values.pop() if len(values) == 1 else None

    @property
    def status(self) -> str:
        """The outcome, and what to keep in mind beside it: `1 of 3 failed: out of memory, 7% over budget`."""
        return ", ".join(filter(None, (self.outcome, spending.remark(self.completed))))

    @property
    def outcome(self) -> str:
        """`completed`, or how many runs failed and how: `1 of 3 failed: out of memory`."""
        failed = [run for run in self.runs if not _counts(run)]
        if not failed:
            return "completed"
        reasons = _reasons(failed)
        if len(self.runs) == 1:
            return reasons
        count = f"{len(failed)} of {len(self.runs)} failed"
        return count if reasons == "failed" else f"{count}: {reasons}"

    @property
    def errors(self) -> tuple[str, ...]:
        """The failed runs' sentences on why, each once."""
        texts = (" ".join((run.error or "").split()) for run in self.runs if not _counts(run))
        return tuple(dict.fromkeys(text for text in texts if text))


@dataclass(frozen=True)
class Table:
    """One ranking.

    Attributes:
      rows: from the best down, those without a rank last.
      reported: published figures that stand beside it.
      apart: the settings in which rankings of this dataset differ, by path, and what they are in this one.
    """

    group: Group
    rows: tuple[Row, ...]
    reported: tuple[Reported, ...] = ()
    apart: tuple[tuple[str, str], ...] = ()


def summarize(
    records: Iterable[RunRecord],
    *,
    reported: Iterable[Reported] = (),
    evaluations: Iterable[EvaluationRecord] = (),
    examples: PredictedExamples = _NO_EXAMPLES,
) -> list[Table]:
    """Returns one table a group, sorted by group; the order of `records` changes nothing.

    Args:
      records: of the runs.
      reported: published figures, each to stand beside the rankings of its dataset.
      evaluations: of these runs on other data.
      examples: what these runs predicted for test examples; read when something asks how sure a rank is.
    """
    runs: dict[Group, dict[tuple[str, int], list[RunRecord]]]
    runs = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda run: (run.seed, run.run_id)):
        runs[group_of(record)][record.label, record.model.image_size].append(record)
    reported = tuple(reported)
    by_run = defaultdict(list)
    for evaluation in evaluations:
        by_run[evaluation.run_id].append(evaluation)
    apart = _set_apart(runs)
    return [
        dataclasses.replace(
            _table(group, _by_setting(runs[group]), reported, by_run, examples),
            apart=apart[group],
        )
        for group in sorted(runs, key=lambda each: each.order)
    ]


def _set_apart(groups: Iterable[Group]) -> dict[Group, tuple[tuple[str, str], ...]]:
    """Returns the settings of each group in which it differs from another of its dataset, as people read them."""
    apart: dict[Group, tuple[tuple[str, str], ...]] = {}
    of_dataset = defaultdict(list)
    for group in groups:
        of_dataset[group.dataset].append(group)
    for alike in of_dataset.values():
        first = alike[0].settings
        paths = {path for each in alike for path in settings.differing(first, each.settings)}
        for each in alike:
            apart[each] = tuple((p, settings.shown(each.settings, p)) for p in sorted(paths))
    return apart


def _by_setting(
    runs: Mapping[tuple[str, int], Sequence[RunRecord]],
) -> dict[tuple[str, int], list[RunRecord]]:
    """Returns the runs of each row; a model whose runs differ in settings of its own has a row for each."""
    split = {}
    for (label, size), same in runs.items():
        variants = defaultdict(list)
        for run in same:
            variants[settings.of_model(run)].append(run)
        first = next(iter(variants))
        paths = sorted({path for each in variants for path in settings.differing(first, each)})
        for variant, own in variants.items():
            said = ", ".join(f"{path}={settings.shown(variant, path)}" for path in paths)
            split[f"{label} ({said})" if said else label, size] = own
    return split


def _table(
    group: Group,
    runs: Mapping[tuple[str, int], Sequence[RunRecord]],
    reported: Iterable[Reported],
    evaluations: Mapping[str, Sequence[EvaluationRecord]],
    examples: PredictedExamples,
) -> Table:
    rows = {
        key: Row(
            group,
            *key,
            tuple(runs[key]),
            evaluations=tuple(
                (r, each) for r in runs[key] for each in evaluations.get(r.run_id, ())
            ),
            examples=examples,
        )
        for key in sorted(runs)
    }
    scores = {key: row.scores for key, row in rows.items() if row.scores}
    ranks = rank(scores)  # in order, best first
    leader = next(iter(ranks), None)

    @cache
    def lazy_standings() -> Standings[Key]:
        examples.of([run for key in ranks for run in rows[key].completed])  # quicker all at once
        return standings({key: rows[key].test_scores for key in ranks})

    ranked = [
        dataclasses.replace(
            rows[key],
            rank=place,
            standings=lazy_standings,
            to_leader=None
            if leader is None or key == leader
            else paired_difference(scores[key], scores[leader]),
        )
        for key, place in ranks.items()
    ]
    unranked = (row for key, row in rows.items() if key not in ranks)
    networks = {(row.runs[0].label, row.evaluation_size) for row in rows.values()}
    published = beside(reported, group.dataset, group.task, networks)
    return Table(group, (*ranked, *unranked), published)


def _score(run: RunRecord) -> float | None:
    return run.metrics.test.get(tasks.find(run.dataset.task).primary)


def _counts(run: RunRecord) -> bool:
    score = _score(run)
    return run.status == "completed" and score is not None and math.isfinite(score)


def _reasons(failed: list[RunRecord]) -> str:
    """Returns how the runs failed, each way once, with the steps of those that diverged."""
    reasons = dict.fromkeys(
        "no test result" if run.status == "completed" else run.status.replace("_", " ")
        for run in failed
    )
    steps = sorted({run.failure.step for run in failed if run.status == "diverged" and run.failure})
    if steps:
        many = "s" if len(steps) > 1 else ""
        where = f"diverged at step{many} {', '.join(map(str, steps))}"
        return "; ".join(where if reason == "diverged" else reason for reason in reasons)
    return "; ".join(reasons)
