"""The audit of one submission, as far as it needs neither models nor data: levels a, b and f."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from isobudget.wording import escaped, quoted
from results import RecordError, rules
from results.audit import alike, measured, spent
from results.audit.alike import Fingerprint
from results.audit.verdicts import (
    CONSISTENT,
    CONTRADICTED,
    NOT_CHECKED,
    VERIFIED,
    Claim,
    RunAudit,
    Verdict,
    worst,
)
from results.bundles import contents, manifest, runs, sources
from results.bundles.manifest import File, Manifest
from results.bundles.runs import SubmittedRun
from results.records import tasks
from results.records.schema import SCHEMA_VERSION


@dataclass(frozen=True)
class Audit:
    """The audit of a bundle or a folder.

    Attributes:
      path: of the submission.
      problem: why it cannot be read, in one sentence; empty if it can.
      claims: on the submission as a whole.
      runs: the audits of its runs, by their ids.
      fingerprints, rows: of its runs, to be set beside those of others.
    """

    path: Path
    problem: str = ""
    claims: tuple[Claim, ...] = ()
    runs: tuple[RunAudit, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    rows: tuple[rules.Row, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of the submission: contradicted if anything in it is."""
        if any(claim.verdict == CONTRADICTED for claim in self.claims):
            return CONTRADICTED
        return worst([run.verdict for run in self.runs])


def audit(path: Path, board: rules.Rules | None = None) -> Audit:
    """Returns the audit of a submission; of one that cannot be read, why.

    Args:
      path: a bundle, or a folder of runs.
      board: the rules that it is submitted to.
    """
    try:
        with sources.open_source(path) as source:
            return _audit(source, board)
    except RecordError as error:
        return Audit(path, problem=escaped(str(error)))


def _audit(source: sources.Source, board: rules.Rules | None) -> Audit:
    listed = manifest.from_json(source.read(contents.MANIFEST)) if source.is_bundle else None
    held: dict[str, File] = {}
    audited, fingerprints, rows = [], [], []
    for run_id in runs.run_ids(source):
        run = runs.read_run(
            source,
            run_id,
            lambda name, data: held.update({name: File(_sha256(data), len(data))}),
        )
        if listed is not None and run.has_weights:
            name = contents.name_of(run_id, contents.WEIGHTS)
            held[name] = File(*source.digest(name))
        claims = tuple(_claims(run, source.is_bundle, board))
        label = f"{run.record.label}, seed {run.record.seed}"
        primary = tasks.find(run.record.dataset.task).primary
        audited.append(RunAudit(run_id, label, claims, primary))
        fingerprints.append(alike.fingerprint(run, source.path.name))
        rows.append(rules.row_of(run.record))
    whole = _whole(listed, held, source)
    return Audit(source.path, "", (whole,), tuple(audited), tuple(fingerprints), tuple(rows))


def _claims(run: SubmittedRun, is_bundle: bool, board: rules.Rules | None) -> Iterator[Claim]:
    yield _schema(run)
    if is_bundle and run.record.run_id != run.run_id:
        reason = f"its record is that of {quoted(run.record.run_id)}."
        yield Claim("a", "run_id", CONTRADICTED, reason)
    yield from measured.claims(run)
    yield from spent.claims(run)
    if board is not None:
        broken = rules.breaches(board, run.record)
        for breach in broken:
            yield Claim("f", breach.rule, CONTRADICTED, breach.reason)
        if not broken:
            division = rules.division_of(board, run.record)
            reason = f"it keeps those of {board.title}, division {division}."
            yield Claim("f", "rules", CONSISTENT, reason)


def _schema(run: SubmittedRun) -> Claim:
    if run.schema_version == SCHEMA_VERSION:
        return Claim("a", "schema", VERIFIED, f"the record is of schema {SCHEMA_VERSION}.")
    reason = f"the record is of schema {run.schema_version}, and was migrated to {SCHEMA_VERSION}."
    return Claim("a", "schema", VERIFIED, reason)


def _whole(listed: Manifest | None, held: Manifest, source: sources.Source) -> Claim:
    """Returns the claim that the files are those of the manifest."""
    if listed is None:
        return Claim("a", "files", NOT_CHECKED, "it is a folder, and has no manifest.")
    for name in source.names():
        if name != contents.MANIFEST and name not in held:  # predictions of no evaluation
            held = {**held, name: File(*source.digest(name))}
    for name in sorted(listed.keys() | held.keys()):
        if name not in held:
            reason = f"{quoted(name)} of the manifest is missing."
        elif name not in listed:
            reason = f"{quoted(name)} is not in the manifest."
        elif listed[name] != held[name]:
            reason = f"{quoted(name)} is not the file of the manifest: its SHA-256 is another."
        else:
            continue
        return Claim("a", "files", CONTRADICTED, reason)
    return Claim("a", "files", VERIFIED, f"all {len(held)} are those of the manifest.")


def with_more(audit: Audit, run_id: str, claims: tuple[Claim, ...]) -> Audit:
    """Returns the audit with further claims on one of its runs, all in the order of their levels."""
    extended = tuple(
        replace(run, claims=tuple(sorted((*run.claims, *claims), key=lambda each: each.level)))
        if run.run_id == run_id
        else run
        for run in audit.runs
    )
    return replace(audit, runs=extended)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
