"""Audits of submitted runs: what can be worked out again is, and each claim gets a verdict."""

from results.audit.alike import Fingerprint, Seen
from results.audit.options import Options
from results.audit.run import Auditor
from results.audit.submission import Audit, audit
from results.audit.verdicts import (
    CONSISTENT,
    CONTRADICTED,
    LEVELS,
    NOT_CHECKED,
    VERDICTS,
    VERIFIED,
    Claim,
    RunAudit,
)

__all__ = [
    "CONSISTENT",
    "CONTRADICTED",
    "LEVELS",
    "NOT_CHECKED",
    "VERDICTS",
    "VERIFIED",
    "Audit",
    "Auditor",
    "Claim",
    "Fingerprint",
    "Options",
    "RunAudit",
    "Seen",
    "audit",
]
