"""What a board keeps beside a bundle: the audit's report, and who submitted it when."""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isobudget.wording import quoted, shown
from results import RecordError
from results.audit import LEVELS, VERDICTS, Audit, Claim, Fingerprint, RunAudit, report
from results.board import layout
from results.bundles import strict_json

VERSION = 1
_LONGEST_NAME = 80  # characters
_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Acceptance:
    """Who submitted a bundle, empty where nobody said, and when it was accepted: ISO 8601, UTC, to the second."""

    by: str
    at: str


@dataclass(frozen=True)
class Report:
    """What the audit said of a bundle.

    Attributes:
      claims: on the bundle as a whole.
      runs: the audits of its runs, by their ids.
      fingerprints: of its runs, to be set beside those of others.
    """

    claims: tuple[Claim, ...]
    runs: Mapping[str, RunAudit]
    fingerprints: tuple[Fingerprint, ...]


def acceptance(by: str, at: str) -> Acceptance:
    """Returns an acceptance, checked.

    Args:
      by: the submitter's name.
      at: a time in ISO 8601; without a time zone it is UTC.

    Raises:
      RecordError: one of them cannot be so, in one sentence.
    """
    by = " ".join(by.split())
    if len(by) > _LONGEST_NAME:
        raise RecordError(f"a submitter's name has up to {_LONGEST_NAME} characters.")
    try:
        strict_json.check_text(by)
    except RecordError as error:
        raise RecordError(f"the submitter's name {error}") from None
    try:
        time = datetime.datetime.fromisoformat(at)
        if time.tzinfo is None:
            time = time.replace(tzinfo=datetime.UTC)
        time = time.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise RecordError(f"{quoted(at)} is no date such as 2026-03-01T12:00:00Z.") from None
    if time.year < 1970:
        raise RecordError(f"{quoted(at)} is before there were boards.")
    return Acceptance(by, time.strftime("%Y-%m-%dT%H:%M:%SZ"))


def acceptance_to_json(accepted: Acceptance) -> str:
    """Returns it as JSON text."""
    return json.dumps(dataclasses.asdict(accepted), indent=1) + "\n"


def acceptance_from_json(data: bytes) -> Acceptance:
    """Returns the acceptance in what its file holds.

    Raises:
      RecordError: it is damaged, in one sentence.
    """
    plain = _parsed(data, layout.ACCEPTED)
    try:
        return acceptance(plain["by"], plain["at"])
    except (KeyError, TypeError, AttributeError):
        raise RecordError(f"its {layout.ACCEPTED} does not say who and when.") from None


def report_to_json(audit: Audit, digest: str) -> str:
    """Returns what the audit said of a bundle as JSON text.

    Args:
      audit: of the bundle.
      digest: its SHA-256.
    """
    plain = report.to_plain(audit)
    # Not where the audit read it, which is a path of this machine.
    del plain["path"], plain["problem"]
    primaries = {run.run_id: run.primary for run in audit.runs}
    for run in plain["runs"]:
        run["primary"] = primaries[run["run_id"]]
    fingerprints = [dataclasses.asdict(each) for each in fingerprints_of(audit, digest)]
    held = {"version": VERSION, "bundle": digest, "levels": LEVELS, "audit": plain}
    return json.dumps(held | {"fingerprints": fingerprints}, indent=1, allow_nan=False) + "\n"


def fingerprints_of(audit: Audit, digest: str) -> list[Fingerprint]:
    """Returns the fingerprints of a bundle's runs, which say where they are by its SHA-256."""
    return [
        dataclasses.replace(each, where=f"{quoted(run.run_id)} in bundle {digest[:12]}")
        for run, each in zip(audit.runs, audit.fingerprints, strict=True)
    ]


def report_from_json(data: bytes) -> Report:
    """Returns the report in what its file holds.

    Raises:
      RecordError: it is damaged, or of a newer version; one sentence says which.
    """
    plain = _parsed(data, layout.AUDIT)
    version = plain.get("version") if isinstance(plain, dict) else None
    if version not in (None, VERSION):
        raise RecordError(f"its {layout.AUDIT} is of version {shown(version)}, and not {VERSION}.")
    try:
        runs = [
            RunAudit(each["run_id"], each["model"], _claims(each["claims"]), each["primary"])
            for each in plain["audit"]["runs"]
        ]
        fingerprints = [
            Fingerprint(each["training"], each["where"], tuple(map(_mark, each["marks"])))
            for each in plain["fingerprints"]
        ]
        claims = _claims(plain["audit"]["claims"])
        return Report(claims, {run.run_id: run for run in runs}, tuple(fingerprints))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecordError(f"its {layout.AUDIT} is no report of an audit.") from None


def _claims(plain: list[Mapping[str, Any]]) -> tuple[Claim, ...]:
    claims = tuple(
        Claim(each["level"], each["name"], each["verdict"], each["reason"]) for each in plain
    )
    if any(each.level not in LEVELS or each.verdict not in VERDICTS for each in claims):
        raise ValueError("it has a level or a verdict that there is not.")
    return claims


def _mark(plain: list[str]) -> tuple[str, str]:
    what, digest = plain
    return str(what), str(digest)


def _parsed(data: bytes, name: str) -> Any:
    if len(data) > _MOST_BYTES:
        raise RecordError(f"{quoted(name)} has more than {_MOST_BYTES:,} bytes.")
    return strict_json.parse(strict_json.text_of(data, name), name)
