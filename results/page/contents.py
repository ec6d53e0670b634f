"""What the page holds, as one value for its JSON block: rankings, their rows, and every run."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from results.page import confusions, curves, figures
from results.rankings.rows import Row, Table
from results.rankings.statistics import Estimate
from results.records.codec import encode
from results.records.layout import path_in
from results.records.schema import RunRecord
from results.tables import columns, headings, reported_cells, test_sets
from results.tables.column import Column
from results.tables.columns import COLUMNS

FieldPath = tuple[str, ...]  # of a field of a record: ("budget", "amount")
_LEAVES = (str, int, float, list, tuple, type(None))


@dataclass(frozen=True)
class Place:
    """Where things lie.

    Attributes:
      page: the folder of the page.
      runs: the folder of each run's files, by run id; a run without one has no curves.
    """

    page: Path
    runs: Mapping[str, Path]


@dataclass(frozen=True)
class Shares:
    """What the runs of a page get of its size, so that it still loads.

    Attributes:
      points: of each learning curve.
      confusions: by run id, see `results.page.confusions.embed`.
    """

    points: int
    confusions: Mapping[str, dict[str, Any]]


def collect(tables: Sequence[Table], place: Place) -> dict[str, Any]:
    """Returns `{"rankings": [...], "runs": [...]}`, strict JSON values.

    The runs of a ranking stand one after another, in the order of its rows.
    """
    rankings: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    shares = Shares(
        curves.points_per_curve(sum(len(row.runs) for table in tables for row in table.rows)),
        confusions.embed(tables, place.runs),
    )
    for table in tables:
        rankings.append(_ranking(table, len(runs)))
        shared, entries = _runs(table, place, shares)
        rankings[-1] |= shared
        runs += [{"ranking": len(rankings) - 1} | entry for entry in entries]
    return {"rankings": rankings, "runs": runs}


def _ranking(table: Table, first_run: int) -> dict[str, Any]:
    rows = []
    for name, row in zip(figures.names(table), table.rows, strict=True):
        rows.append({"name": name, "first": first_run, "runs": len(row.runs)})
        rows[-1]["outcome"] = row.outcome
        first_run += len(row.runs)
    # A run alone, as a row: what each column would show of it.
    alone = [
        [Row(row.group, row.model, row.image_size, (run,)) for run in row.runs]
        if len(row.runs) > 1
        else None
        for row in table.rows
    ]
    shown = columns.shown(table.group.task)
    ordered = (*shown, *(column for column in COLUMNS if column not in shown))
    scatters = {figure: figures.points(table, figure) for figure in figures.SCATTERS}
    return {
        "title": headings.title(table.group, table.apart),
        "description": [*headings.description(table), headings.intervals(table)],
        "failures": [list(failure) for failure in headings.failures(table)],
        "columns": [_column(column, table.rows, alone, column in shown) for column in ordered],
        "beside": _beside(table),
        "rows": rows,
        "score": figures.score_title(table),
        "metrics": {name: figures.metric_title(name) for name in figures.metric_names(table)},
        "figures": {
            figure.name: {"title": figure.title} | data for figure, data in scatters.items() if data
        },
    }


def _beside(table: Table) -> list[dict[str, Any]]:
    """Returns the tables that stand beside the ranking: other test sets, and published figures."""
    tables = []
    if sets := test_sets.of(table):
        header, rows = test_sets.header(table, sets), test_sets.cells(table, sets)
        notes = list(test_sets.describe(sets))
        tables.append({"title": "On other test sets", "notes": notes, "head": header, "rows": rows})
    header, rows = reported_cells.table(table)
    if rows:
        notes = [reported_cells.NOTE]
        tables.append({"title": "Reported", "notes": notes, "head": header, "rows": rows})
    return tables


def _column(
    column: Column, rows: Sequence[Row], alone: Sequence[Sequence[Row] | None], shown: bool
) -> dict[str, Any]:
    """Returns a column, see `column_cells`, with `by_run` if it is a measured one with a heading.

    That holds the cells of each run alone, for each row of several runs.
    """
    result = column_cells(column, rows, shown)
    if column.heading and any(isinstance(column.of(row), Estimate) for row in rows):
        result["by_run"] = [runs and [_text(column, run) for run in runs] for runs in alone]
        result["cells"] = [_text(column, row) for row in rows]
    return result


def column_cells(column: Column, rows: Sequence[Row], shown: bool) -> dict[str, Any]:
    """Returns a column's cells as text and, where they are numbers, `numbers` to sort by.

    A column whose cells are all the same has one cell.
    """
    values = [column.of(row) for row in rows]
    cells = [_text(column, row) for row in rows]
    # A heading has the unit of what is shown; the others are as in the CSV.
    doc = column.doc if column.heading or not column.unit else f"{column.doc} ({column.unit})"
    result: dict[str, Any] = {"name": column.name, "heading": column.heading, "doc": doc}
    result |= {"shown": shown, "drop": column.drop}
    numbers = [_number(value) for value in values]
    if any(number is not None for number in numbers):
        # The text of a column without a heading is the number itself.
        result["numbers"] = numbers if column.heading else True
    return result | {"cells": cells[:1] if len(set(cells)) == 1 else cells}


def _text(column: Column, row: Row) -> str:
    return column.cell(row) if column.heading else column.number(row)


def _number(value: Any) -> float | int | None:
    if isinstance(value, Estimate):
        return float(f"{value.mean:.8g}")
    return value if isinstance(value, int | float) else None


def _runs(
    table: Table, place: Place, shares: Shares
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns what the ranking's records share, and each run as what differs from it.

    The runs of a ranking have nearly all of their configuration, machine and software in common.
    `fields` are the records' fields by path, and `shared` the values of the first run that completed, for the first
    of them. A run then has `differing`, its own values by their place in `fields`, and `absent`, the places of those
    that it lacks.
    """
    runs = [run for row in table.rows for run in row.runs]
    base = next((run for run in runs if run.status == "completed"), runs[0])
    shared = dict(_leaves(base))
    places = {path: i for i, path in enumerate(shared)}
    entries = []
    for run in runs:
        differing: dict[FieldPath, Any] = {}
        lacking: list[FieldPath] = []
        _compare(base, run, (), differing, lacking)
        for path in differing:
            places.setdefault(path, len(places))
        entry: dict[str, Any] = {"id": run.run_id, "seed": run.seed, "status": run.status}
        entry["differing"] = {str(places[path]): encode(value) for path, value in differing.items()}
        if lacking:
            entry["absent"] = [places[path] for path in lacking]
        folder = place.runs.get(run.run_id)
        if link := _link(folder, place.page):
            entry["record"] = link
        parts = {name: part(run, folder, table, shares) for name, part in PARTS}
        entries.append(entry | {name: part for name, part in parts.items() if part is not None})
    fields = [list(path) for path in places]
    return {"fields": fields, "shared": [encode(value) for value in shared.values()]}, entries


def _compare(
    base: Any,
    other: Any,
    path: FieldPath,
    differing: dict[FieldPath, Any],
    lacking: list[FieldPath],
) -> None:
    """Adds to `differing` what `other` holds and `base` does not, by path, and what it lacks."""
    base, other = _mapping(base), _mapping(other)
    for key, value in other.items():
        at = (*path, key)
        if key not in base:
            differing.update(_leaves(value, at))
        elif base[key] != value:  # whole parts are equal at once: most of a configuration is
            if _mapping(value) and _mapping(base[key]):
                _compare(base[key], value, at, differing, lacking)
            else:
                differing.update(_leaves(value, at))
                lacking += [each for each, _ in _leaves(base[key], at) if each not in differing]
    for key in base.keys() - other.keys():
        lacking += [each for each, _ in _leaves(base[key], (*path, key))]


def _leaves(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Yields the scalars and lists of a record by path; an empty mapping is a leaf."""
    mapping = _mapping(value)
    if not mapping:
        yield path, value
    for key, item in (mapping or {}).items():
        yield from _leaves(item, (*path, key))


def _mapping(value: Any) -> Mapping[str, Any] | None:
    """Returns a part of a record as a mapping; None for a scalar or list."""
    if isinstance(value, _LEAVES):
        return None
    return value if isinstance(value, Mapping) else vars(value)


def _link(folder: Path | None, page: Path) -> str | None:
    """Returns the address of a record from the page, where it lies in a folder below it."""
    if folder is None or not folder.absolute().is_relative_to(page.absolute()):
        return None
    relative = folder.absolute().relative_to(page.absolute())
    return quote(os.fsencode(path_in(relative).as_posix()))


def _curve(
    run: RunRecord, folder: Path | None, table: Table, shares: Shares
) -> dict[str, Any] | None:
    return curves.read(run, folder, figures.metric_names(table), shares.points)


def _confusions(
    run: RunRecord, folder: Path | None, table: Table, shares: Shares
) -> dict[str, Any] | None:
    return shares.confusions.get(run.run_id)


# What the page shows of a run from the files beside its record: the name by which `RUN_SECTIONS` in assets/run.js asks
# for it, and a function to JSON values or None.
PARTS = (("curve", _curve), ("confusions", _confusions))
