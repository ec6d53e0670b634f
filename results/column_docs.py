"""Prints the page of the columns.

python -m results.column_docs > docs/columns.md
"""

from isobudget import command
from results.tables.columns import COLUMNS

_HEAD = """# The columns of leaderboard.csv and leaderboard.json

This page is made by `python -m results.column_docs > docs/columns.md`. The order is stable: new columns go to the end.
Values are means over the seeds that completed; fractions are in [0, 1], not percent. A value that was not measured, or
that the ranking's task does not have, is empty (null in JSON). So are the speeds and memory of a row whose runs used
different devices. `leaderboard.json` also has the count, standard deviation and 95% t-interval of each mean, and the
paired differences between models (docs/results.md).

| column | unit | what it is |
| :--- | :--- | :--- |
"""


def describe() -> str:
    """Returns the page as Markdown."""
    return _HEAD + "".join(f"| `{c.name}` | {c.unit} | {c.doc} |\n" for c in COLUMNS)


def define_flags() -> None:
    """Defines none: the command has no flags."""


def main() -> None:
    """Prints the page."""
    print(describe(), end="")


if __name__ == "__main__":
    command.run(main, define_flags)
