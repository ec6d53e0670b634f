"""What a ranking says of each statement: it holds, does not hold, cannot be told, or was not measured."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from results.claims.evidence import FAILS, HOLDS, OPEN, UNKNOWN, Check, Evidence
from results.claims.statements import STATEMENTS, Statement
from results.rankings.rows import Table
from results.rankings.significance import holm


@dataclass(frozen=True)
class Finding:
    """What a ranking says of a statement."""

    statement: Statement
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """One check that fails refutes; otherwise all must have been measured, and all must hold."""
        verdicts = {check.verdict for check in self.checks}
        for verdict in (FAILS, UNKNOWN, OPEN):
            if verdict in verdicts:
                return verdict
        return HOLDS


def check(table: Table, tables: Sequence[Table] = ()) -> list[Finding]:
    """Returns what a ranking says of each statement.

    Args:
      table: the ranking.
      tables: all rankings, for what was run at other image sizes.
    """
    evidence = Evidence(table, tables)
    checks = [tuple(each.check(evidence)) for each in STATEMENTS]
    corrected = _corrected(part for parts in checks for part in parts)
    return [
        Finding(
            each,
            tuple(dataclasses.replace(p, p_corrected=corrected.get(p.text)) for p in parts),
        )
        for each, parts in zip(STATEMENTS, checks, strict=True)
    ]


def tested(findings: Iterable[Finding]) -> int:
    """Returns over how many comparisons of accuracy the p-values were corrected."""
    return len(_p_values(part for each in findings for part in each.checks))


def _corrected(checks: Iterable[Check]) -> dict[str, float]:
    """Returns Holm's p-values by the text of the check."""
    p_values = _p_values(checks)
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _p_values(checks: Iterable[Check]) -> dict[str, float]:
    """Returns the p-values to correct by the text of the check: one that several statements make counts once."""
    return {
        each.text: each.p_value for each in checks if each.p_value is not None and not each.of_speed
    }
