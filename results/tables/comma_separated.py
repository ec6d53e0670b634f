"""The leaderboard as CSV."""

import csv
import io
from collections.abc import Iterable

from results.rankings.rows import Table
from results.tables.columns import COLUMNS


def to_csv(tables: Iterable[Table]) -> str:
    """Returns the tables as one CSV: fractions, not percent; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    for table in tables:
        writer.writerows([column.number(row) for column in COLUMNS] for row in table.rows)
    return text.getvalue()
