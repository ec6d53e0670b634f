"""The leaderboard as CSV."""

from collections.abc import Iterable

from isobudget import csv_lines
from results.rankings.rows import Table
from results.tables.columns import COLUMNS


def to_csv(tables: Iterable[Table]) -> str:
    """Returns the tables as one CSV: fractions, not percent; what was not measured is empty."""
    lines = [csv_lines.line(column.name for column in COLUMNS)]
    for table in tables:
        lines += (csv_lines.line(column.number(row) for column in COLUMNS) for row in table.rows)
    return "".join(lines)
