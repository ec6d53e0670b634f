"""The rules of a board, a `board.toml`: what a run must be to have a row there, and where a run differs from it."""

from results.rules.check import Breach, Row, breaches, breaches_of_rows, division_of, row_of
from results.rules.schema import Division, Hardware, Rules, from_toml, read

__all__ = [
    "Breach",
    "Division",
    "Hardware",
    "Row",
    "Rules",
    "breaches",
    "breaches_of_rows",
    "division_of",
    "from_toml",
    "read",
    "row_of",
]
