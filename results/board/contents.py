"""What the board's first page holds, as one value for its JSON block."""

import datetime
from collections import Counter
from collections.abc import Iterator
from typing import Any

from isobudget.wording import digits, exact
from results import rules
from results.board import addresses, marks
from results.board.entries import Board
from results.board.standings import BoardRow, Ranking, Record
from results.page.contents import column_cells
from results.records import tasks
from results.tables.columns import COLUMNS, Column, shown

_MOST_RECORDS = 200  # of a ranking's history, the latest; board.json has all
# What only neighbors in one group of runs have: a board sets rows of several groups side by side.
_DAY = 86_400_000  # milliseconds
_LEAST_DAYS = 5  # that the chart of the record spans: its axis has a label a day at most
_WITHIN_GROUPS = ("difference_to_leader", "first_share", "resampled_rank")
_TO_CHOOSE = ("recipe", "batch_size", "tuning_trials", "device", "primary_metric")


def collect(board: Board, rankings: tuple[Ranking, ...]) -> dict[str, Any]:
    """Returns `{"title", "description", "rules", "legend", "rankings": [...]}`, strict JSON values."""
    return {
        "title": board.rules.title,
        "description": board.rules.description,
        "rules": [list(rule) for rule in rules_in_words(board.rules)],
        "legend": marks.legend(),
        "rankings": [_ranking(ranking, board) for ranking in rankings],
    }


def names(rows: tuple[BoardRow, ...]) -> list[str]:
    """Returns what to call each row: its model, with the image size where the model has several."""
    sizes: dict[str, set[int]] = {}
    for each in rows:
        sizes.setdefault(each.row.model, set()).add(each.row.image_size)
    return [
        f"{each.row.model} @{each.row.image_size}"
        if len(sizes[each.row.model]) > 1
        else each.row.model
        for each in rows
    ]


def primary_column(task: str) -> Column:
    """Returns the column of the metric that ranks a task."""
    primary = tasks.find(task).primary
    return next(column for column in COLUMNS if column.metric == primary)


def _ranking(ranking: Ranking, board: Board) -> dict[str, Any]:
    bundles = {row.entry.digest for row in ranking.rows}
    task = ranking.rows[0].row.group.task
    verdicts = Counter(row.verdict for row in ranking.rows)
    judged = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.most_common())
    plural = "" if len(ranking.rows) == 1 else "s"
    facts = [
        f"{len(ranking.rows):,} row{plural} in {len(bundles):,} bundle{'' if len(bundles) == 1 else 's'}: {judged}",
        _ranked_by(task, len(board.rules.seeds)),
    ]
    by_id = dict(zip((row.row_id for row in ranking.rows), names(ranking.rows), strict=True))
    return {
        "title": ranking.title,
        "description": facts,
        "score": primary_column(task).heading,
        "columns": list(_columns(ranking, task)),
        "rows": [
            {"outcome": each.row.outcome, "page": addresses.of_row(each.row_id)}
            for each in ranking.rows
        ],
        "record": (points := _points(ranking, board, by_id, task)),
        "domain": _domain(points),
        "history": [
            _of_history(record, by_id, task)
            for record in reversed(ranking.history[-_MOST_RECORDS:])
        ],
        "records": len(ranking.history),
    }


def _ranked_by(task: str, seeds: int) -> str:
    """Returns what a ranking goes by, and how to read it."""
    spoken = tasks.find(task).spoken
    if seeds == 1:
        return f"Ranked by {spoken}: one seed, no interval."
    return (
        f"Ranked by {spoken}, the mean over {seeds} seeds ± half the width of its 95% t-interval. Rows share a rank if"
        " the interval of their difference from the first of that rank spans 0."
    )


def _columns(ranking: Ranking, task: str) -> Iterator[dict[str, Any]]:
    rows = [each.row for each in ranking.rows]
    people = [column for column in shown(task) if column.name not in _WITHIN_GROUPS]
    place = next(i for i, column in enumerate(people) if column.name == "seeds") + 2
    for column in people[:place]:
        cells = column_cells(column, rows, True)
        if column.name == "model":
            cells["cells"] = names(ranking.rows)
        yield cells
    yield _text_column(
        "checked",
        "checked",
        "the audit's verdict at each level, see the legend",
        [marks.line(each) for each in ranking.rows],
        links=[_report(each) for each in ranking.rows],
    )
    yield _text_column(
        "verdict",
        "verdict",
        "what the audit said of the row as a whole",
        [each.verdict for each in ranking.rows],
        drop=6,
    )
    by = [each.entry.accepted.by for each in ranking.rows]
    yield _text_column("by", "by", "who submitted it", by, drop=3)
    at = [each.entry.accepted.at[:10] for each in ranking.rows]
    yield _text_column("accepted", "accepted", "the day that it was accepted, UTC", at, drop=4)
    for column in people[place:]:
        yield column_cells(column, rows, True)
    for column in COLUMNS:
        if column.name in _TO_CHOOSE:
            yield column_cells(column, rows, False)


def _text_column(
    name: str,
    heading: str,
    doc: str,
    cells: list[str],
    links: list[str] | None = None,
    drop: int = 0,
) -> dict[str, Any]:
    column = {"name": name, "heading": heading, "doc": doc, "shown": True, "drop": drop}
    column["cells"] = cells[:1] if len(set(cells)) == 1 else cells
    return column if links is None else column | {"links": links}


def _report(row: BoardRow) -> str:
    """Returns where the audit's report on a row begins."""
    return addresses.of_run(row.entry.digest, run_number(row, row.row.runs[0].run_id))


def run_number(row: BoardRow, run_id: str) -> int:
    """Returns the number of a run on the page of its bundle's audit."""
    return list(row.entry.runs).index(run_id) + 1


def _points(
    ranking: Ranking, board: Board, by_id: dict[str, str], task: str
) -> list[dict[str, Any]]:
    """Returns the data of `results.page.charts.record`: one point a record, and where the line ends."""
    points: list[dict[str, Any]] = []
    for record in ranking.history:
        name = by_id[record.row.row_id]
        score = primary_column(task).cell(record.row.row)
        by = record.row.entry.accepted.by
        tip = (
            f"{name}\n{primary_column(task).heading}: {score}\n{record.row.entry.accepted.at[:10]}"
        )
        points.append(
            {
                "at": _milliseconds(record.row.entry.accepted.at),
                "score": round(100 * record.score, 6),
                "name": name,
                "tip": f"{tip}{f', {by}' if by else ''}",
                "page": addresses.of_row(record.row.row_id),
            }
        )
    last = _milliseconds(board.entries[-1].accepted.at)
    if points and last > points[-1]["at"]:
        points.append({"at": last, "score": points[-1]["score"], "name": None, "tip": ""})
    return points


def _domain(points: list[dict[str, Any]]) -> list[float]:
    """Returns the ends of both axes of the record's chart, [x_min, x_max, y_min, y_max]."""
    if not points:
        return [0, 1, 0, 100]
    first, last = points[0]["at"], points[-1]["at"]
    margin = max(0.04 * (last - first), (_LEAST_DAYS * _DAY - (last - first)) / 2)
    low, high = points[0]["score"], points[-1]["score"]
    above = 0.1 * (high - low) + 0.2
    return [
        round(first - margin),
        round(last + margin),
        round(low - above, 6),
        round(high + above, 6),
    ]


def _of_history(record: Record, by_id: dict[str, str], task: str) -> dict[str, Any]:
    row = record.row
    return {
        "at": row.entry.accepted.at[:10],
        "name": by_id[row.row_id],
        "page": addresses.of_row(row.row_id),
        "score": primary_column(task).cell(row.row),
        "by": row.entry.accepted.by,
        "checked": marks.line(row),
        "report": _report(row),
    }


def _milliseconds(at: str) -> int:
    return int(datetime.datetime.fromisoformat(at).timestamp()) * 1000


def rules_in_words(board: rules.Rules) -> Iterator[tuple[str, str]]:
    """Yields the name and the value of each rule of a board, those of its divisions by their names."""
    yield "dataset", " ".join(filter(None, (board.dataset, board.version)))
    if board.task:
        yield "task", board.task
    yield "budget", f"{_amount(board.budget_amount)} {board.budget_kind}"
    yield "seeds", ", ".join(map(digits, board.seeds))
    for name, split in board.splits.items():
        yield f"{name} split", split
    yield "weights begin", ", ".join(board.init_digests) or "drawn"
    for name in ("platform", "device_kind", "cpu"):
        allowed = getattr(board.hardware, name)
        if allowed is not None:
            yield name.replace("_", " "), " or ".join(allowed)
    for name in ("device_count", "cpu_cores"):
        count = getattr(board.hardware, name)
        if count is not None:
            yield name.replace("_", " "), digits(count)
    for division in board.divisions:
        parts = [f"recipe {division.recipe}" if division.recipe else "any recipe"]
        if division.tuning_trials is not None:
            parts.append(f"up to {digits(division.tuning_trials)} tuning trials")
        parts.append(f"plug-ins: {', '.join(division.plugins) or 'none'}")
        parts += [f"{path} = {value}" for path, value in division.config.items()]
        parts += [f"{name} of SHA-256 {sha}" for name, sha in division.plugin_digests.items()]
        yield f"division {division.name}", "; ".join(parts)


def _amount(amount: float) -> str:
    return f"{amount:,.10g}" if amount < 1e9 else exact(amount, 4)
