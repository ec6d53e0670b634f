"""The leaderboard on a terminal, without the columns that do not fit its width."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as TerminalTable
from rich.text import Text

from results.rankings.rows import Row, Table
from results.records import spending
from results.tables import columns, headings, reported_cells, test_sets
from results.tables.column import Column
from results.tables.markdown import LEFT, one_line

# Of a longer ranking the rest is told by its number: nobody scrolls so far, and rich takes a millisecond a row.
_MOST_ROWS = 200


def print_tables(tables: Iterable[Table], console: Console | None = None) -> None:
    """Prints the tables on the terminal, or on `console`."""
    console = console or Console()
    for table in tables:
        console.print(Text(headings.title(table.group), style="bold"))
        for line in headings.description(table):
            console.print(Text(line, style="dim"))
        console.print()
        console.print(_table(table, console.width))
        if len(table.rows) > _MOST_ROWS:
            more = len(table.rows) - _MOST_ROWS
            console.print(Text(f"and {more:,} more rows, which are in the files that --out writes"))
        console.print()
        for model, text in headings.failures(table):
            console.print(Text.assemble((model, "bold"), ": ", (text, "red")))
        console.print(Text(headings.intervals(table), style="dim"), end="\n\n")
        _print_beside(table, console)


def grid(header: Iterable[str] = (), rows: Iterable[Iterable[str]] = ()) -> TerminalTable:
    """Returns a table in the house's style; text is aligned left, numbers right."""
    result = TerminalTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        left = name in LEFT
        result.add_column(escape(name), justify="left" if left else "right", overflow="fold")
    for row in rows:
        result.add_row(*(escape(one_line(cell)) for cell in row))
    return result


def _print_beside(table: Table, console: Console) -> None:
    """Prints what the models reach on other test sets, and what others reported."""
    sets = test_sets.of(table)
    if sets:
        for line in test_sets.describe(sets):
            console.print(Text(line, style="dim"))
        header, rows = test_sets.header(table, sets), test_sets.cells(table, sets)
        console.print(grid(header, rows), end="\n\n")
    header, rows = reported_cells.table(table)
    if rows:
        console.print(Text(reported_cells.NOTE, style="dim"))
        console.print(grid(header, rows), end="\n\n")


def _table(table: Table, width: int) -> TerminalTable:
    shown = columns.shown(table.group.task)
    rows = table.rows[:_MOST_ROWS]
    cells = {c.name: [one_line(c.cell(row)) for row in rows] for c in shown}
    # The full story of a failure stands under the table, where it takes no width from the numbers.
    cells["status"] = [_short(row) for row in rows]
    fitting = _fitting(shown, cells, width)
    result = grid()
    for column in fitting:
        left = column.name in LEFT
        result.add_column(
            column.heading, justify="left" if left else "right", overflow="fold", no_wrap=not left
        )
    for i, row in enumerate(rows):
        style = "red" if row.rank is None else "yellow" if row.status != "completed" else ""
        result.add_row(*(escape(cells[column.name][i]) for column in fitting), style=style)
    return result


def _short(row: Row) -> str:
    """Returns a row's status without `completed` and without how its runs failed."""
    outcome = row.outcome.partition(":")[0].replace("completed", "")
    return ", ".join(filter(None, (outcome, spending.remark(row.completed))))


def _fitting(shown: tuple[Column, ...], cells: dict[str, list[str]], width: int) -> list[Column]:
    """Returns the columns that fit `width` characters, dropped in the order `Column.drop` says."""
    fitting = [column for column in shown if any(cells[column.name])]

    def needed() -> int:
        return sum(max(map(len, (c.heading, *cells[c.name]))) + 2 for c in fitting)

    while needed() > width and any(column.drop for column in fitting):
        fitting.remove(max(fitting, key=lambda column: column.drop))
    return fitting
