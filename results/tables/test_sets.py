"""One ranking on several test sets: what its models reach on each, and how their ranks differ."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from results.rankings.rows import Row, Table
from results.rankings.statistics import Estimate, estimate, rank
from results.records import tasks
from results.records.evaluations import EvaluationRecord
from results.tables.cells import percent


@dataclass(frozen=True)
class Place:
    """What one model reaches on a test set.

    Attributes:
      score: of the task's primary metric.
      rank: among the models that were evaluated on it; those that cannot be told apart share one.
      place: among the same models by the mean alone.
      main_place: the same by the ranking's own test split.
    """

    score: Estimate
    rank: int
    place: int
    main_place: int

    @property
    def change(self) -> int:
        """How many places better it is on this test set than on the ranking's own.

        Places go by means. By rank, models that share one because a small test set cannot tell them apart would seem
        to have gained on it.
        """
        return self.main_place - self.place


@dataclass(frozen=True)
class TestSet:
    """A test set, and the places on it by model and image size."""

    name: str
    dataset: str
    split: str
    examples: int
    left_out: int
    num_classes: int
    places: dict[tuple[str, int], Place]

    __test__ = False  # not a class of tests, whatever its name suggests to pytest


# Name, data, split, examples, examples left out, classes to choose among.
_Kind = tuple[str, str, str, int, int, int]


def of(table: Table) -> list[TestSet]:
    """Returns the test sets that models of the ranking were evaluated on, by name.

    Evaluations of compressed weights are not among them. Two evaluations are of one test set if
    name, data, number of examples and number of classes to choose among are the same.
    """
    primary = tasks.find(table.group.task).primary
    scores: dict[_Kind, dict[tuple[str, int], dict[int, float]]] = defaultdict(dict)
    rows = {(row.model, row.image_size): row for row in table.rows if row.rank}
    for key, row in rows.items():
        for kind, by_seed in _by_set(row, primary).items():
            scores[kind][key] = by_seed
    return [_test_set(kind, scores[kind], rows) for kind in sorted(scores)]


def _by_set(row: Row, primary: str) -> dict[_Kind, dict[int, float]]:
    """Returns a row's scores by test set and seed; a seed run more than once counts once."""
    values: dict[_Kind, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    completed = {run.run_id for run in row.completed}
    for run, evaluation in row.evaluations:
        score = evaluation.metrics.get(primary, math.nan)
        if run.run_id in completed and not evaluation.compression and math.isfinite(score):
            values[_kind(evaluation)][run.seed].append(score)
    return {
        kind: {seed: estimate(numbers).mean for seed, numbers in seeds.items()}
        for kind, seeds in values.items()
    }


def _kind(evaluation: EvaluationRecord) -> _Kind:
    return (
        evaluation.name,
        f"{evaluation.dataset} {evaluation.dataset_version}".strip(),
        evaluation.split,
        evaluation.examples,
        evaluation.left_out,
        evaluation.num_classes,
    )


def _test_set(
    kind: _Kind, scores: dict[tuple[str, int], dict[int, float]], rows: dict[tuple[str, int], Row]
) -> TestSet:
    # In the ranking's order, which equal means keep.
    main_places = {key: i for i, key in enumerate((key for key in rows if key in scores), start=1)}
    ranks = rank({key: scores[key] for key in main_places})
    places = {
        key: Place(estimate(list(scores[key].values())), ranks[key], place, main_places[key])
        for place, key in enumerate(ranks, start=1)
    }
    return TestSet(*kind, places)


def header(table: Table, sets: Iterable[TestSet]) -> list[str]:
    """Returns the headings of the table that `cells` gives the rows of."""
    of_sets = [heading for each in sets for heading in (f"{each.name} %", "rank")]
    return ["rank", "model", "size", f"{table.group.test_split} %", *of_sets]


def cells(table: Table, sets: Iterable[TestSet]) -> list[list[str]]:
    """Returns a row a model, in the order of the ranking: score and `rank (places better)` on each set."""
    sets = list(sets)
    result = []
    for row in table.rows:
        places = [each.places.get((row.model, row.image_size)) for each in sets]
        if row.score is None or not any(places):
            continue
        line = [str(row.rank), row.model, str(row.image_size), percent(row.score)]
        for place in places:
            change = f" ({place.change:+})" if place and place.change else ""
            line += [percent(place.score), f"{place.rank}{change}"] if place else ["", ""]
        result.append(line)
    return result


def describe(sets: Iterable[TestSet]) -> list[str]:
    """Returns a line a test set, and one on how to read the ranks."""
    lines = []
    for each in sets:
        left = f", {each.left_out:,} left out" if each.left_out else ""
        lines.append(
            f"{each.name}: {each.dataset} {each.split}, {each.examples:,} examples{left}, "
            f"{each.num_classes:,} classes to choose among"
        )
    lines.append(
        "Ranks are among the models that were evaluated on the test set. The number in brackets says how many "
        "places better (+) or worse (-) a model's mean is there than on the ranking's own test split."
    )
    return lines
