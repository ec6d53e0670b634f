"""The leaderboard: Markdown, CSV, JSON, the page and tables in a terminal, each a function of what runs left."""

from results.leaderboard.display import print_table, print_tables
from results.leaderboard.files import write_tables
from results.rankings.rows import summarize
from results.tables.columns import COLUMNS
from results.tables.comma_separated import to_csv
from results.tables.markdown import to_markdown

__all__ = [
    "COLUMNS",
    "print_table",
    "print_tables",
    "summarize",
    "to_csv",
    "to_markdown",
    "write_tables",
]
