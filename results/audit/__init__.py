"""Audits of submitted runs: what can be worked out again is, and each claim gets a verdict."""

from results.audit.run import Auditor, Options
from results.audit.submission import Audit, audit
from results.audit.verdicts import (
    CONSISTENT,
    CONTRADICTED,
    LEVELS,
    NOT_CHECKED,
    VERIFIED,
    Claim,
    RunAudit,
)

__all__ = [
    "CONSISTENT",
    "CONTRADICTED",
    "LEVELS",
    "NOT_CHECKED",
    "VERIFIED",
    "Audit",
    "Auditor",
    "Claim",
    "Options",
    "RunAudit",
    "audit",
]
