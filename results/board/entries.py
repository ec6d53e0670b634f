"""The bundles of a board, read again: what is damaged or breaks the rules is named and left out."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from isobudget.wording import quoted, quoted_path
from results import RecordError, rules
from results.audit import CONTRADICTED, Claim, RunAudit, Seen
from results.board import kept, layout
from results.board.kept import Acceptance
from results.bundles import sources
from results.bundles.runs import read_record, run_ids
from results.records.folders import Problem
from results.records.schema import RunRecord

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """An accepted bundle.

    Attributes:
      digest: its SHA-256 in hex.
      path: of the file.
      accepted: who submitted it, and when.
      claims: on the bundle as a whole.
      runs: the audit and the record of each run, by its id.
      rows: the ids of the runs of each row, sorted by seed.
    """

    digest: str
    path: Path
    accepted: Acceptance
    claims: tuple[Claim, ...]
    runs: Mapping[str, tuple[RunAudit, RunRecord]]
    rows: tuple[tuple[str, ...], ...]

    @property
    def order(self) -> tuple[str, str]:
        """What bundles are sorted by: when they were accepted."""
        return self.accepted.at, self.digest


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
      rules: of the board.
      entries: its bundles, the first that was accepted first.
      problems: what was left out, and why.
    """

    rules: rules.Rules
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def load(board: Path) -> Board:
    """Returns a board.

    Raises:
      RecordError: there is none, or its rules cannot be read.
    """
    own = read_rules(board)
    problems: list[Problem] = []
    whole: list[tuple[Entry, kept.Report]] = []
    for folder in layout.folders(board):
        try:
            entry, report = read(folder, folder.name)
            check(entry, own)
            whole.append((entry, report))
        except (RecordError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            problems.append(Problem(folder, reason or str(error)))
    whole.sort(key=lambda each: each[0].order)
    entries = []
    for entry, problem in _distinct(whole):
        if problem:
            problems.append(Problem(entry.path.parent, problem))
        else:
            entries.append(entry)
    return Board(own, tuple(entries), tuple(problems))


def read_rules(board: Path) -> rules.Rules:
    """Returns the rules of a board.

    Raises:
      RecordError: there is no board.
    """
    if not (board / layout.RULES).is_file():
        raise RecordError(
            f"there is no board in {quoted_path(board)}: it has no {layout.RULES};"
            " python -m results.board init makes one."
        )
    return rules.read(board / layout.RULES)


def read(folder: Path, digest: str) -> tuple[Entry, kept.Report]:
    """Returns the bundle in a folder of a board, and what the audit said of it.

    Args:
      folder: with the files of `layout`.
      digest: the SHA-256 that the bundle must have.

    Raises:
      RecordError: it is damaged, or another.
      OSError: a file is missing.
    """
    path = folder / layout.BUNDLE
    if _digest(path) != digest:
        raise RecordError("its bundle is not the one that the folder is named by.")
    report = kept.report_from_json((folder / layout.AUDIT).read_bytes())
    accepted = kept.acceptance_from_json((folder / layout.ACCEPTED).read_bytes())
    with sources.open_source(path) as source:
        records = {run_id: read_record(source, run_id) for run_id in run_ids(source)}
    if records.keys() != report.runs.keys():
        raise RecordError(f"its {layout.AUDIT} is that of another bundle.")
    for run_id, record in records.items():
        if record.run_id != run_id:
            raise RecordError(f"the record of {quoted(run_id)} is that of {quoted(record.run_id)}.")
    runs = {run_id: (report.runs[run_id], record) for run_id, record in records.items()}
    return Entry(digest, path, accepted, report.claims, runs, _rows(records.values())), report


def check(entry: Entry, board: rules.Rules) -> None:
    """Refuses a bundle that the board as it is now would not accept, as one that came from another board may be.

    Raises:
      RecordError: one sentence on what differs.
    """
    claims = [*entry.claims, *(claim for run, _ in entry.runs.values() for claim in run.claims)]
    wrong = next((claim for claim in claims if claim.verdict == CONTRADICTED), None)
    if wrong:
        raise RecordError(f"its audit contradicts {wrong.name}: {wrong.reason}")
    for run_id, (_, record) in entry.runs.items():
        for breach in rules.breaches(board, record):
            raise RecordError(f"{quoted(run_id)}: {breach.reason}")
    for row in entry.rows:
        runs = [entry.runs[run_id][1] for run_id in row]
        seeds = [rules.Row("", run.label, run.seed) for run in runs]
        for breach in rules.breaches_of_rows(board, seeds):
            raise RecordError(breach.reason)
        if rules.division_of(board, *runs) is None:
            raise RecordError(f"the runs of {runs[0].label} are of several divisions.")


def _rows(records: Iterable[RunRecord]) -> tuple[tuple[str, ...], ...]:
    """Returns the ids of the runs of each row of a bundle, sorted by seed."""
    rows: dict[str, list[str]] = defaultdict(list)
    for record in sorted(records, key=lambda each: (each.seed, each.run_id)):
        rows[rules.row_of(record).key].append(record.run_id)
    return tuple(map(tuple, rows.values()))


def _distinct(whole: list[tuple[Entry, kept.Report]]) -> Iterator[tuple[Entry, str]]:
    """Yields each bundle with how an earlier one contradicts it, as may be where boards were merged; empty if none."""
    seen = Seen()
    for entry, report in whole:
        originals = [seen.original(each) for each in report.fingerprints]
        claims = [claim for each in report.fingerprints for claim in seen.claims(each)]
        if claims:
            yield entry, claims[0].reason
        elif originals and originals[0] and None not in originals:
            yield entry, f"all its runs are on the board already, such as {originals[0].where}."
        else:
            yield entry, ""


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with sources.regular_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
