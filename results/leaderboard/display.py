"""The leaderboard on a terminal."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from isobudget import terminal
from results.rankings.examples import PredictedExamples
from results.rankings.rows import Row, Table, summarize
from results.records import spending
from results.records.schema import RunRecord
from results.tables import columns, headings, reported_cells, test_sets

# Nobody scrolls through a longer ranking, and rich takes a millisecond a row; how many more there are is told.
_MOST_ROWS = 200


def print_table(
    run_records: Iterable[RunRecord],
    console: Console | None = None,
    folders: Mapping[str, Path] | None = None,
) -> None:
    """Prints the rankings of the records on the terminal, or on `console`.

    Args:
      run_records: of the runs.
      console: the terminal by default.
      folders: where each run's files lie, by run id, for what it predicted.
    """
    print_tables(summarize(run_records, examples=PredictedExamples(folders or {})), console)


def print_tables(tables: Iterable[Table], console: Console | None = None) -> None:
    """Prints the rankings on the terminal, or on `console`."""
    console = console or terminal.console()
    for table in tables:
        console.print(terminal.text(headings.title(table.group, table.apart), style="bold"))
        for line in headings.description(table):
            console.print(terminal.text(line, style="dim"))
        console.print()
        _print_rows(table, console)
        for model, text in headings.failures(table):
            name, why = terminal.text(model, "bold"), terminal.text(text, "red")
            console.print(Text.assemble(name, ": ", why))
        console.print(terminal.text(headings.intervals(table), style="dim"), end="\n\n")
        _print_beside(table, console)


def _print_rows(table: Table, console: Console) -> None:
    rows = table.rows[:_MOST_ROWS]
    cells = {c.name: [c.cell(row) for row in rows] for c in columns.shown(table.group.task)}
    # The full story of a failure stands under the table, where it takes no width from the numbers.
    cells["status"] = [_short(row) for row in rows]
    shown = [c for c in columns.shown(table.group.task) if any(cells[c.name])]
    terminal.print_table(
        console,
        [
            terminal.Column(c.heading, c.name in terminal.TEXTS, c.name in terminal.KEYS, c.drop)
            for c in shown
        ],
        zip(*(cells[c.name] for c in shown), strict=True),
        [_style(row) for row in rows],
    )
    if len(table.rows) > _MOST_ROWS:
        more = len(table.rows) - _MOST_ROWS
        note = f"and {more:,} more rows, which are in the files that --out writes"
        console.print(terminal.text(note), end="\n\n")


def _print_beside(table: Table, console: Console) -> None:
    """Prints what the models reach on other test sets, and what others reported."""
    if sets := test_sets.of(table):
        for line in test_sets.describe(sets):
            console.print(terminal.text(line, style="dim"))
        names = terminal.columns(test_sets.header(table, sets))
        # The second heading `rank`, and those after it, are of the other test sets.
        names = [terminal.Column(c.heading, c.left, c.key and i < 2) for i, c in enumerate(names)]
        terminal.print_table(console, names, test_sets.cells(table, sets))
    header, rows = reported_cells.table(table)
    if rows:
        console.print(terminal.text(reported_cells.NOTE, style="dim"))
        terminal.print_table(console, terminal.columns(header), rows)


def _short(row: Row) -> str:
    """Returns a row's status without `completed` and without how its runs failed."""
    outcome = row.outcome.partition(":")[0].replace("completed", "")
    return ", ".join(filter(None, (outcome, spending.remark(row.completed))))


def _style(row: Row) -> str:
    return "red" if row.rank is None else "yellow" if row.status != "completed" else ""
