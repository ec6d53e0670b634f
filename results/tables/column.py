"""One column of the leaderboard, and the makers of those that hold a metric."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from results.rankings.rows import Row
from results.rankings.statistics import Estimate
from results.tables.cells import percent, percent_mean

Value = str | int | float | Estimate | None


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
      name: its name in the CSV.
      unit: of its values there; empty for names and other text.
      doc: what it is.
      value: a function from a row to its value; the CSV keeps the mean of an `Estimate`.
      heading: its heading in Markdown and the terminal; a column without one is in the files only.
      text: a function from the value to what people read; None is an empty cell, and is never asked for.
      drop: where not all columns fit side by side, those of larger numbers give way first: on a terminal to a second
        table, on the page out of sight, where those of 0 stay.
      metric: the test metric that it holds; people see it in rankings of the tasks that show that metric.
    """

    name: str
    unit: str
    doc: str
    value: Callable[[Row], Value]
    heading: str = ""
    text: Callable[[Any], str] = str
    drop: int = 0
    metric: str = ""

    def of(self, row: Row) -> Value:
        """Returns the row's value, worked out once: several files and tables ask for it."""
        if self.name not in row.memo:
            row.memo[self.name] = self.value(row)
        return row.memo[self.name]

    def cell(self, row: Row) -> str:
        """Returns the row's value as people read it; empty where there is none."""
        value = self.of(row)
        return "" if value is None else self.text(value)

    def number(self, row: Row) -> str:
        """Returns the row's value for the CSV: whole numbers exact, others to 8 digits."""
        value = self.of(row)
        value = value.mean if isinstance(value, Estimate) else value
        if isinstance(value, float):
            # Fewer digits than a double holds: another SciPy must not change the last one.
            whole = value.is_integer() and abs(value) < 2**53
            return str(int(value)) if whole else f"{value:.8g}"
        return "" if value is None else str(value)


def part(estimate: Estimate | None, name: str) -> float | None:
    """Returns a part of an estimate; None where there is none."""
    return None if estimate is None else getattr(estimate, name)


def metric(name: str, doc: str, heading: str, drop: int = 7) -> Column:
    """Returns the column of a metric that is a fraction of the test split."""
    return Column(
        name, "fraction", doc, lambda r: r.metric("test", name), heading, percent_mean, drop, name
    )


def interval(name: str) -> tuple[Column, Column]:
    """Returns the columns of the ends of a metric's interval."""
    return _end(name, "low"), _end(name, "high")


def _end(name: str, end: str) -> Column:
    return Column(
        f"{name}_{end}",
        "fraction",
        f"{'upper' if end == 'high' else 'lower'} end of the 95% t-interval of {name}; "
        "empty for one seed or equal values",
        lambda row: part(row.metric("test", name), end),
    )


def primary(name: str, doc: str, heading: str) -> Column:
    """Returns the column of a metric that a task is ranked by."""
    return Column(
        name, "fraction", doc, lambda r: r.metric("test", name), heading, percent, 0, name
    )
