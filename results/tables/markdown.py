"""The leaderboard as Markdown, a section a ranking."""

import re
from collections.abc import Iterable

from isobudget.terminal import TEXTS, one_line
from results.rankings.rows import Row, Table
from results.tables import columns, headings, reported_cells, test_sets
from results.tables.column import Column


def to_markdown(tables: Iterable[Table]) -> str:
    """Returns the tables as Markdown for a README, a section a ranking."""
    return "\n".join(["# Leaderboard\n", *map(_section, tables)])


def table(header: Iterable[str], left: Iterable[bool], rows: Iterable[Iterable[str]]) -> list[str]:
    """Returns the lines of a table; `left` says which columns are aligned left."""
    ruler = (":---" if each else "---:" for each in left)
    return [f"| {' | '.join(cells)} |" for cells in (header, ruler, *rows)]


def text_table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Returns the lines of a table of texts, models as code."""
    left = [name in TEXTS for name in header]
    shown = (
        [
            code(cell) if name == "model" else plain(cell)
            for name, cell in zip(header, row, strict=True)
        ]
        for row in rows
    )
    return table((plain(name) for name in header), left, shown)


def plain(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|&~$])", r"\\\1", one_line(text))


def code(text: str) -> str:
    """Returns a code span; a bar inside would end the cell of a table, backslash or not.

    Backticks inside are kept by more of them around it (CommonMark 0.31, section 6.1).
    """
    shown = one_line(text)
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}".replace("|", "\\|")


def _section(ranking: Table) -> str:
    lines = [f"## {plain(headings.title(ranking.group, ranking.apart))}", ""]
    lines += [f"- {plain(line)}" for line in headings.description(ranking)]
    lines += [f"- {headings.intervals(ranking)}", ""]
    shown = [c for c in columns.shown(ranking.group.task) if any(map(c.cell, ranking.rows))]
    lines += table(
        (column.heading for column in shown),
        (column.name in TEXTS for column in shown),
        ([_cell(column, row) for column in shown] for row in ranking.rows),
    )
    failures = headings.failures(ranking)
    if failures:
        lines += ["", "Runs that failed:", ""]
        lines += [f"- {code(model)}: {plain(text)}" for model, text in failures]
    lines += _test_sets(ranking) + _reported(ranking)
    return "\n".join(lines) + "\n"


def _test_sets(ranking: Table) -> list[str]:
    sets = test_sets.of(ranking)
    if not sets:
        return []
    lines = ["", "### On other test sets", ""]
    lines += [f"- {plain(line)}" for line in test_sets.describe(sets)]
    return [
        *lines,
        "",
        *text_table(test_sets.header(ranking, sets), test_sets.cells(ranking, sets)),
    ]


def _reported(ranking: Table) -> list[str]:
    header, rows = reported_cells.table(ranking)
    if not rows:
        return []
    return ["", "### Reported", "", reported_cells.NOTE, "", *text_table(header, rows)]


def _cell(column: Column, row: Row) -> str:
    text = column.cell(row)
    return code(text) if column.name == "model" else plain(text)
