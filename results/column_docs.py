"""The page of the columns.

python -m results.column_docs > docs/columns.md
"""

from results.tables.columns import COLUMNS

_HEAD = """# The columns of leaderboard.csv and leaderboard.json

Made by `python -m results.column_docs > docs/columns.md`. The order is stable: new columns go to the end. Values are
means over the seeds that completed; fractions are in [0, 1], not percent. What was not measured, or is not of the
ranking's task, is empty (null in JSON), and so are speeds and memory of a row whose runs used different devices.
`leaderboard.json` has for each mean its count, standard deviation and 95% t-interval too, and the paired differences
between models (docs/results.md).

| column | unit | what |
| :--- | :--- | :--- |
"""


def describe() -> str:
    """Returns the page as Markdown."""
    return _HEAD + "".join(f"| `{c.name}` | {c.unit} | {c.doc} |\n" for c in COLUMNS)


if __name__ == "__main__":
    print(describe(), end="")
