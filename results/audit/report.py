"""An audit as lines for people, and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from isobudget.wording import escaped
from results.audit.submission import Audit
from results.audit.verdicts import CONTRADICTED, LEVELS, Claim, RunAudit

_WIDEST = 12  # characters of a verdict


def lines(audit: Audit, brief: bool = False) -> Iterator[str]:
    """Yields the lines on a submission.

    Args:
      audit: of the submission.
      brief: whether to leave out claims that are not contradicted.
    """
    path = escaped(str(audit.path))
    if audit.problem:
        yield f"{path}: cannot be read: {audit.problem}"
        return
    yield f"{path}: {audit.verdict}"
    yield from _claims(audit.claims, brief)
    for run in audit.runs:
        yield f"  {escaped(run.run_id)} ({escaped(run.model)}): {run.verdict}, {counts(run)}"
        yield from _claims(run.claims, brief, indent="    ")


def claim_line(claim: Claim) -> str:
    """Returns the line on a claim."""
    return (
        f"{claim.verdict:<{_WIDEST}} {claim.level} {escaped(claim.name)}: {escaped(claim.reason)}"
    )


def counts(run: RunAudit) -> str:
    """Returns how many claims have each verdict, such as `12 consistent, 3 verified`."""
    counted = Counter(claim.verdict for claim in run.claims)
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counted.items()))


def to_plain(audit: Audit) -> dict[str, Any]:
    """Returns an audit as JSON values."""
    return {
        "path": str(audit.path),
        "problem": audit.problem or None,
        "verdict": None if audit.problem else audit.verdict,
        "claims": [_plain(claim) for claim in audit.claims],
        "runs": [
            {
                "run_id": run.run_id,
                "model": run.model,
                "verdict": run.verdict,
                "claims": [_plain(claim) for claim in run.claims],
            }
            for run in audit.runs
        ],
    }


def json_head() -> str:
    """Returns how the JSON of audits begins; each audit follows, with commas between."""
    return f'{{"levels": {json.dumps(LEVELS)},\n"audits": ['


def json_tail(together: list[Claim]) -> str:
    """Returns how it ends, with the claims on all together."""
    return f'],\n"together": {json.dumps([_plain(claim) for claim in together])}}}'


def _plain(claim: Claim) -> dict[str, str]:
    return {
        "level": claim.level,
        "name": claim.name,
        "verdict": claim.verdict,
        "reason": claim.reason,
    }


def _claims(claims: tuple[Claim, ...], brief: bool, indent: str = "  ") -> Iterator[str]:
    for claim in claims:
        if not brief or claim.verdict == CONTRADICTED:
            yield indent + claim_line(claim)
