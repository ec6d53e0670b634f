"""The leaderboard on a terminal, without the columns that do not fit its width."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as TerminalTable
from rich.text import Text

from results import columns, headings, spending
from results.columns import Column
from results.markdown import LEFT, one_line
from results.rows import Row, Table


def print_tables(tables: Iterable[Table], console: Console | None = None) -> None:
    """Prints the tables on the terminal, or on `console`."""
    console = console or Console()
    for table in tables:
        console.print(Text(headings.title(table.group), style="bold"))
        for line in headings.description(table):
            console.print(Text(line, style="dim"))
        console.print()
        console.print(_table(table, console.width))
        console.print()
        for model, text in headings.failures(table):
            console.print(Text.assemble((model, "bold"), ": ", (text, "red")))
        console.print(Text(headings.intervals(table), style="dim"), end="\n\n")


def grid() -> TerminalTable:
    """Returns an empty table in the house's style."""
    return TerminalTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))


def _table(table: Table, width: int) -> TerminalTable:
    shown = columns.shown(table.group.task)
    cells = {c.name: [one_line(c.cell(row)) for row in table.rows] for c in shown}
    # The full story of a failure stands under the table, where it takes no width from the numbers.
    cells["status"] = [_short(row) for row in table.rows]
    fitting = _fitting(shown, cells, width)
    result = grid()
    for column in fitting:
        left = column.name in LEFT
        result.add_column(
            column.heading, justify="left" if left else "right", overflow="fold", no_wrap=not left
        )
    for i, row in enumerate(table.rows):
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
