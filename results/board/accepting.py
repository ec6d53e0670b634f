"""Making a board, and accepting bundles: each is copied, audited, and kept with the report unless contradicted."""

import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isobudget.wording import quoted_path
from results import RecordError, rules
from results.audit import (
    CONTRADICTED,
    Audit,
    Auditor,
    Claim,
    Fingerprint,
    Options,
    Seen,
)
from results.board import entries, kept, layout
from results.bundles.sources import regular_file
from results.page.document import asset
from results.records.files import create_atomically, write_atomically

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of a bundle.

    Attributes:
      digest: its SHA-256 in hex.
      audit: what was said of it; None where the board has had it before.
      accepted: whether it is on the board now.
    """

    digest: str
    audit: Audit | None
    accepted: bool


def create(board: Path, toml: Path, workflow: bool = False) -> rules.Rules:
    """Makes a board with no bundle, and returns its rules.

    Args:
      board: its folder, made where it is missing.
      toml: its rules; copied.
      workflow: whether to write the workflow with which a repository is a board, too.

    Raises:
      RecordError: there is a board already, or the rules are none; one sentence says which.
      OSError: it cannot be written.
    """
    read = rules.read(toml)
    if not create_atomically(board / layout.RULES, toml.read_bytes()):
        raise RecordError(f"there is a board in {quoted_path(board)} already.")
    (board / layout.BUNDLES).mkdir(exist_ok=True)
    if workflow:
        write_atomically(board / layout.WORKFLOW, asset("board.yml", "results.board"))
    return read


def accept(
    board: Path,
    bundle: Path,
    options: Options,
    acceptance: kept.Acceptance,
    known: Sequence[Fingerprint],
) -> Outcome:
    """Audits a bundle by the rules of a board, keeps it there unless it is contradicted, and returns what became of it.

    Args:
      board: its folder.
      bundle: the file.
      options: how to audit; the board's rules are those in them.
      acceptance: who submitted it, and when.
      known: the `fingerprints` of the board's runs.

    Raises:
      RecordError: the bundle is no file.
      OSError: the board cannot be written.
    """
    if bundle.is_dir():
        raise RecordError(
            f"{quoted_path(bundle)} is a folder; python -m results.submit makes a bundle of it."
        )
    (board / layout.BUNDLES).mkdir(exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=board / layout.BUNDLES))
    try:
        digest = _copy(bundle, incoming / layout.BUNDLE)
        kept_in = layout.folder_of(board, digest)
        if kept_in.exists():
            return Outcome(digest, None, True)
        audit = _audited(incoming / layout.BUNDLE, options, known)
        if audit.problem or audit.verdict == CONTRADICTED:
            return Outcome(digest, dataclasses.replace(audit, path=bundle), False)
        write_atomically(incoming / layout.AUDIT, kept.report_to_json(audit, digest))
        write_atomically(incoming / layout.ACCEPTED, kept.acceptance_to_json(acceptance))
        refusal = _refusal(incoming, digest, options)
        if refusal:
            audit = dataclasses.replace(audit, claims=(*audit.claims, refusal), path=bundle)
            return Outcome(digest, audit, False)
        incoming.chmod(0o755)  # mkdtemp's are its user's alone
        incoming.rename(kept_in)
        return Outcome(digest, dataclasses.replace(audit, path=bundle), True)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _refusal(incoming: Path, digest: str, options: Options) -> Claim | None:
    """Returns why `entries.load` would leave a bundle out; None if it would not."""
    try:
        entry, _ = entries.read(incoming, digest)
        if options.board is not None:
            entries.check(entry, options.board)
    except RecordError as error:
        return Claim("f", "board", CONTRADICTED, str(error))
    return None


def fingerprints(board: Path) -> list[Fingerprint]:
    """Returns the fingerprints of all runs of a board; those of a damaged report are left out."""
    held: list[Fingerprint] = []
    for folder in layout.folders(board):
        try:
            held += kept.report_from_json((folder / layout.AUDIT).read_bytes()).fingerprints
        except (OSError, RecordError):  # `build` names it
            continue
    return held


def seen(known: Iterable[Fingerprint]) -> Seen:
    """Returns runs as seen, to set others beside them."""
    seen = Seen()
    for each in known:
        list(seen.claims(each))
    return seen


def _audited(bundle: Path, options: Options, known: Sequence[Fingerprint]) -> Audit:
    """Returns the audit of a bundle, with what shows beside the runs of the board."""
    auditor = Auditor(options, seen(known))
    (audit,) = auditor.audits([bundle])
    together = [*auditor.together, *_copies(audit, seen(known))]
    return dataclasses.replace(audit, claims=(*audit.claims, *together))


def _copies(audit: Audit, before: Seen) -> list[Claim]:
    """Returns a contradiction if every run of a bundle is on the board already, in another bundle."""
    originals = [before.original(each) for each in audit.fingerprints]
    if not originals or None in originals:
        return []
    where = originals[0].where if originals[0] else ""
    reason = f"all its runs are on the board already, such as {where}."
    return [Claim("b", "distinct", CONTRADICTED, reason)]


def _copy(source: Path, target: Path) -> str:
    """Copies a file and returns the SHA-256 of the copy: what is audited is what is kept."""
    digest = hashlib.sha256()
    try:
        with regular_file(source) as file:
            out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with open(out, "wb") as copy:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
    except FileNotFoundError:
        raise RecordError(f"there is no bundle {quoted_path(source)}.") from None
    except RecordError as error:
        raise RecordError(f"{quoted_path(source)}: {error}") from None
    return digest.hexdigest()
