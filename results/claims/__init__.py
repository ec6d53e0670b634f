"""Statements of the literature, checked against measured records."""

from results.claims.evidence import FAILS, HOLDS, MARGIN, OPEN, UNKNOWN, Check, Evidence
from results.claims.report import to_json, to_markdown
from results.claims.statements import STATEMENTS, Statement
from results.claims.verdicts import Finding, check

__all__ = [
    "FAILS",
    "HOLDS",
    "MARGIN",
    "OPEN",
    "STATEMENTS",
    "UNKNOWN",
    "Check",
    "Evidence",
    "Finding",
    "Statement",
    "check",
    "to_json",
    "to_markdown",
]
