"""The leaderboard as one JSON document: every column with its interval, and all paired differences."""

import dataclasses
import itertools
import json
from collections.abc import Iterable
from typing import Any

from results.rankings.rows import Row, Table
from results.rankings.statistics import Estimate, paired_difference
from results.records import codec, settings, tasks
from results.tables import headings, test_sets
from results.tables.columns import COLUMNS

FILE_NAME = "leaderboard.json"
SCHEMA_VERSION = 2  # from 2 on, a model's name has the options that it gained (`isobudget.earlier`)
# Pairs grow with the square of the rows: in a longer ranking each is compared with the first and with the one above.
MOST_ROWS_IN_PAIRS = 60

_PARTS = tuple(field.name for field in dataclasses.fields(Estimate))


def to_json(tables: Iterable[Table]) -> str:
    """Returns the tables as strict JSON text, a line a row."""
    return lines(document(tables), 4) + "\n"


def document(tables: Iterable[Table]) -> dict[str, Any]:
    """Returns the tables as JSON values; docs/results.md explains the fields."""
    return {
        "schema_version": SCHEMA_VERSION,
        "columns": [{"name": c.name, "unit": c.unit, "doc": c.doc} for c in COLUMNS],
        "rankings": [_ranking(table) for table in tables],
    }


def _ranking(table: Table) -> dict[str, Any]:
    return {
        "title": headings.title(table.group, table.apart),
        "description": headings.description(table),
        "group": table.group.to_plain(),
        "primary_metric": tasks.find(table.group.task).primary,
        "rows": [row_values(row) for row in table.rows],
        "differences": [_difference(*pair) for pair in _pairs(table)],
        "test_sets": [_test_set(each) for each in test_sets.of(table)],
        "reported": [codec.encode(each) for each in table.reported],
    }


def _test_set(test_set: test_sets.TestSet) -> dict[str, Any]:
    places = [
        {"model": model, "image_size": size, "score": _value(place.score), "rank": place.rank}
        | {"place": place.place, "main_place": place.main_place, "change": place.change}
        for (model, size), place in test_set.places.items()
    ]
    facts = {
        f.name: getattr(test_set, f.name)
        for f in dataclasses.fields(test_set)
        if f.name != "places"
    }
    return facts | {"places": places}


def row_values(row: Row) -> dict[str, Any]:
    """Returns a row: its columns, its score (the primary metric) with that of each seed, and its model's settings."""
    columns = {column.name: _value(column.of(row)) for column in COLUMNS}
    scores = {str(seed): _rounded(score) for seed, score in row.scores.items()}
    own = {path: json.loads(text) for path, text in settings.of_model(row.runs[0])}
    return columns | {
        "score": _value(row.score),
        "scores": scores,
        "errors": list(row.errors),
        "model_settings": own,
    }


def _pairs(table: Table) -> Iterable[tuple[Row, Row]]:
    ranked = [row for row in table.rows if row.rank]
    if len(ranked) <= MOST_ROWS_IN_PAIRS:
        return itertools.combinations(ranked, 2)
    return itertools.chain(
        ((ranked[0], row) for row in ranked[1:]),
        itertools.islice(itertools.pairwise(ranked), 1, None),
    )


def _difference(better: Row, worse: Row) -> dict[str, Any]:
    """Returns `better - worse` over the seeds both have; null where they share none."""
    difference = paired_difference(better.scores, worse.scores)
    return {
        "first": {"model": better.model, "image_size": better.image_size},
        "second": {"model": worse.model, "image_size": worse.image_size},
        "difference": _value(difference),
        "same_rank": better.rank == worse.rank,
    }


def _value(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {name: _rounded(getattr(value, name)) for name in _PARTS}
    return _rounded(codec.encode(value))


def _rounded(value: Any) -> Any:
    """Returns a number to 12 digits: another SciPy must not change the last one of a double's."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def lines(value: Any, depth: int) -> str:
    """Returns JSON text with a line for each item, `depth` levels deep, that holds more (json's indenting is slow)."""
    if not depth or not isinstance(value, dict | list) or not any(map(_holds_more, _items(value))):
        return json.dumps(value, allow_nan=False)
    if isinstance(value, list):
        inside, (first, last) = [lines(item, depth - 1) for item in value], "[]"
    else:
        inside = [f"{json.dumps(key)}: {lines(item, depth - 1)}" for key, item in value.items()]
        first, last = "{}"
    return f"{first}\n" + ",\n".join(inside) + f"\n{last}"


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _holds_more(value: Any) -> bool:
    return isinstance(value, dict | list)
