"""Verdicts as marks, a sign for each."""

from results.audit import CONSISTENT, CONTRADICTED, LEVELS, NOT_CHECKED, VERIFIED
from results.audit.verdicts import Verdict
from results.board.standings import BoardRow

SIGNS: dict[Verdict, str] = {
    VERIFIED: "✓",
    CONSISTENT: "≈",
    NOT_CHECKED: "·",
    CONTRADICTED: "✗",
}


def line(row: BoardRow) -> str:
    """Returns the verdicts on a row at each level that was checked: `a✓ b≈ f≈`."""
    levels = row.levels
    checked = [level for level in LEVELS if levels[level] != NOT_CHECKED]
    return " ".join(f"{level}{SIGNS[levels[level]]}" for level in checked)


def legend() -> str:
    """Returns what the marks mean, in one sentence."""
    signs = ", ".join(f"{sign} {verdict}" for verdict, sign in SIGNS.items())
    levels = "; ".join(f"{level}: {what}" for level, what in LEVELS.items())
    return f"{signs}. {levels}."
