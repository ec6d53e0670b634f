"""What a ranking says of each statement: it holds, does not hold, or was not measured."""

from dataclasses import dataclass

from results.claims.evidence import Check, Evidence
from results.claims.statements import STATEMENTS, Statement
from results.rankings.rows import Table

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "not measured"


@dataclass(frozen=True)
class Finding:
    """What a ranking says of a statement."""

    statement: Statement
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """One check that fails refutes; otherwise all must have been measured."""
        if any(check.holds is False for check in self.checks):
            return FAILS
        return HOLDS if all(check.holds for check in self.checks) else UNKNOWN


def check(table: Table) -> list[Finding]:
    """Returns what a ranking says of each statement."""
    evidence = Evidence(table)
    return [Finding(each, tuple(each.check(evidence))) for each in STATEMENTS]
