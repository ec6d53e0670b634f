"""The leaderboard: Markdown, CSV and a terminal table, each a function of the records alone.

python -m results.leaderboard DIR... --out=DIR
"""

import argparse
import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as TerminalTable
from rich.text import Text

from results import RecordError, headings, records, spending
from results.columns import COLUMNS, Column
from results.files import write_atomically
from results.rows import Row, Table, summarise
from results.schema import RunRecord

__all__ = ["COLUMNS", "main", "print_table", "summarise", "to_csv", "to_markdown", "write_tables"]

_SHOWN = tuple(column for column in COLUMNS if column.heading)
_LEFT = ("model", "status")
_MOST_NAMED = 20


def to_csv(tables: Iterable[Table]) -> str:
    """Returns the tables as one CSV: fractions, not percent; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    for table in tables:
        writer.writerows([column.number(row) for column in COLUMNS] for row in table.rows)
    return text.getvalue()


def to_markdown(tables: Iterable[Table]) -> str:
    """Returns the tables as Markdown for a README, a section a ranking."""
    return "\n".join(["# Leaderboard\n", *map(_section, tables)])


def write_tables(
    run_records: Iterable[RunRecord], out_dir: str | os.PathLike[str]
) -> tuple[Path, Path]:
    """Writes `leaderboard.md` and `leaderboard.csv` into `out_dir`, and returns their paths.

    The same records give the same bytes, whatever order they come in.

    Raises:
      RecordError: there are no records.
      OSError: the folder or a file cannot be written.
    """
    tables = summarise(run_records)
    if not tables:
        raise RecordError("There are no records to make a table from.")
    markdown, numbers = Path(out_dir) / "leaderboard.md", Path(out_dir) / "leaderboard.csv"
    write_atomically(markdown, to_markdown(tables))
    write_atomically(numbers, to_csv(tables))
    return markdown, numbers


def print_table(run_records: Iterable[RunRecord], console: Console | None = None) -> None:
    """Prints the tables on the terminal, or on `console`, leaving out columns that do not fit."""
    console = console or Console()
    for table in summarise(run_records):
        console.print(Text(headings.title(table.group), style="bold"))
        for line in headings.description(table):
            console.print(Text(line, style="dim"))
        console.print()
        console.print(_terminal_table(table, console.width))
        console.print()
        for model, text in headings.failures(table):
            console.print(Text.assemble((model, "bold"), ": ", (text, "red")))
        console.print(Text(headings.intervals(table), style="dim"), end="\n\n")


def _section(table: Table) -> str:
    lines = [f"## {_plain(headings.title(table.group))}", ""]
    lines += [f"- {_plain(line)}" for line in headings.description(table)]
    lines += [f"- {headings.intervals(table)}", ""]
    lines.append(_markdown_row(column.heading for column in _SHOWN))
    lines.append(_markdown_row(":---" if c.name in _LEFT else "---:" for c in _SHOWN))
    lines += [_markdown_row(_markdown_cell(column, row) for column in _SHOWN) for row in table.rows]
    failures = headings.failures(table)
    if failures:
        lines += ["", "Runs that failed:", ""]
        lines += [f"- {_code(model)}: {_plain(text)}" for model, text in failures]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(column: Column, row: Row) -> str:
    text = column.cell(row)
    return _code(text) if column.name == "model" else _plain(text)


def _plain(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", _one_line(text))


def _code(text: str) -> str:
    """Returns a code span; a bar inside would end the cell of a table, backslash or not."""
    return f"`{_one_line(text).replace('`', '')}`".replace("|", "\\|")


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _terminal_table(table: Table, width: int) -> TerminalTable:
    cells = {c.name: [_one_line(c.cell(row)) for row in table.rows] for c in _SHOWN}
    # The full story of a failure stands under the table, where it takes no width from the numbers.
    cells["status"] = [_short(row) for row in table.rows]
    columns = _fitting(cells, width)
    result = TerminalTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        left = column.name in _LEFT
        result.add_column(
            column.heading, justify="left" if left else "right", overflow="fold", no_wrap=not left
        )
    for i, row in enumerate(table.rows):
        style = "red" if row.rank is None else "yellow" if row.status != "completed" else ""
        result.add_row(*(escape(cells[column.name][i]) for column in columns), style=style)
    return result


def _short(row: Row) -> str:
    """Returns a row's status without `completed` and without how its runs failed."""
    outcome = row.outcome.partition(":")[0].replace("completed", "")
    return ", ".join(filter(None, (outcome, spending.remark(row.completed))))


def _fitting(cells: dict[str, list[str]], width: int) -> list[Column]:
    """Returns the columns that fit `width` characters, dropped in the order `Column.drop` says."""
    columns = [column for column in _SHOWN if any(cells[column.name])]

    def needed() -> int:
        return sum(max(map(len, (c.heading, *cells[c.name]))) + 2 for c in columns)

    while needed() > width and any(column.drop for column in columns):
        columns.remove(max(columns, key=lambda column: column.drop))
    return columns


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments` (the process's own by default); returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m results.leaderboard",
        description="Makes the tables again from the records of runs, and prints them.",
        epilog="A record that cannot be read is named and left out. Exit status: 0, or 2 when "
        "there is nothing to make a table from or --out cannot be written.",
    )
    parser.add_argument(
        "directories",
        nargs="+",
        metavar="DIR",
        help="a folder of runs (it holds runs/*/record.json) or of one run (record.json)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where leaderboard.md and leaderboard.csv go; without it nothing is written",
    )
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± still gets its table
    try:
        _run(options.directories, options.out)
    except RecordError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(directories: Sequence[str], out: str | None) -> None:
    loaded, problems = records.load_all(directories)
    where = ", ".join(directories)
    if not loaded and problems:
        raise RecordError(
            f"None of the {len(problems)} records in {where} can be read; the first is {problems[0]}"
        )
    if not loaded:
        raise RecordError(
            f"There are no records in {where}: a run writes DIR/runs/<run id>/record.json."
        )
    if out is not None:
        try:
            write_tables(loaded, out)
        except OSError as error:
            reason = error.strerror or error
            raise RecordError(f"The tables cannot be written to {out!r}: {reason}.") from None
    print_table(loaded)
    for problem in problems[:_MOST_NAMED]:
        print(f"Left out: {problem}", file=sys.stderr)
    if len(problems) > _MOST_NAMED:
        print(f"Left out: {len(problems) - _MOST_NAMED} more.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
