"""The table of published figures that stands beside a ranking."""

from collections.abc import Callable, Mapping

from results.rankings.reported import Reported
from results.rankings.rows import Row, Table
from results.records import tasks
from results.tables.columns import COLUMNS

NOTE = "Reported elsewhere, at other budgets; never ranked with what was measured here."


def table(ranking: Table) -> tuple[list[str], list[list[str]]]:
    """Returns the headings and the rows, marked `reported`; no rows where nothing was reported.

    The column `measured here %` has the primary metric of the same model evaluated at the same image
    size, if that is in the ranking.
    """
    metrics = tasks.find(ranking.group.task).shown
    of_metric = {c.metric: c for c in COLUMNS if c.metric}
    shown = [of_metric[m] for m in metrics if any(m in each.metrics for each in ranking.reported)]
    header = ["", "model", "size", *(c.heading for c in shown), "measured here %", "source"]
    measured = {(row.model, row.evaluation_size): row for row in ranking.rows if row.rank}
    return header, [
        [
            "reported",
            each.model,
            str(each.image_size or ""),
            *(_percent(each.metrics.get(c.metric)) for c in shown),
            _measured(measured, each, of_metric[metrics[0]].cell),
            each.source,
        ]
        for each in ranking.reported
    ]


def _measured(
    rows: Mapping[tuple[str, int], Row], each: Reported, cell: Callable[[Row], str]
) -> str:
    sizes = [size for model, size in rows if model == each.model]
    if each.image_size is None and len(sizes) == 1:
        return cell(rows[each.model, sizes[0]])
    return cell(rows[each.model, each.image_size]) if each.image_size in sizes else ""


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.2f}"
