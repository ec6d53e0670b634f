"""The rows of a board, ranked in each division, and who raised its record when."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from results import rules
from results.audit import CONSISTENT, CONTRADICTED, LEVELS, NOT_CHECKED, VERIFIED, RunAudit
from results.audit.verdicts import Verdict, worst
from results.board.entries import Board, Entry
from results.rankings.rows import Row
from results.rankings.statistics import rank
from results.records.groups import device, group_of
from results.records.schema import RunRecord


@dataclass(frozen=True)
class BoardRow:
    """A row: the runs of one model in one bundle.

    Attributes:
      row_id: what its page is called; a function of the bundle and of its runs' names alone, so that it never changes.
      row: its runs, and its rank.
      entry: the bundle.
      audits: of its runs, in the order of the row's.
    """

    row_id: str
    row: Row
    entry: Entry
    audits: tuple[RunAudit, ...]

    @property
    def verdict(self) -> Verdict:
        """On all its runs together."""
        return worst([audit.verdict for audit in self.audits])

    @property
    def levels(self) -> Mapping[str, Verdict]:
        """The verdict at each level of the audit."""
        claims = [*self.entry.claims, *(claim for audit in self.audits for claim in audit.claims)]
        by_level: dict[str, set[Verdict]] = {level: set() for level in LEVELS}
        for claim in claims:
            by_level.setdefault(claim.level, set()).add(claim.verdict)
        return {level: _at_level(verdicts) for level, verdicts in by_level.items()}


class Record(NamedTuple):
    """A row that raised the record of its ranking, and the score that it did so with."""

    row: BoardRow
    score: float


@dataclass(frozen=True)
class Ranking:
    """A ranking of a board.

    Attributes:
      division: of the board.
      apart: what sets it apart from others of its division; empty where there is one alone.
      rows: from the best down, those without a rank last.
      history: the rows that raised the record, the first one first.
    """

    division: str
    apart: str
    rows: tuple[BoardRow, ...]
    history: tuple[Record, ...]

    @property
    def title(self) -> str:
        """Its heading."""
        return f"Division {self.division}{f': {self.apart}' if self.apart else ''}"


def rankings(board: Board) -> tuple[Ranking, ...]:
    """Returns the rankings of a board, in the order of its divisions; a division without rows has none."""
    held: dict[tuple[str, tuple[str, ...]], list[BoardRow]] = defaultdict(list)
    for entry in board.entries:
        for row in _rows(entry):
            division = rules.division_of(board.rules, *row.row.runs) or ""
            held[division, _comparable(row.row.runs[0], board.rules)].append(row)
    order = [division.name for division in board.rules.divisions]
    alike: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for division, key in held:
        alike[division].append(key)
    return tuple(
        _ranking(division, _apart(key, alike[division]), held[division, key])
        for division, key in sorted(held, key=lambda each: (order.index(each[0]), each[1]))
    )


def _rows(entry: Entry) -> list[BoardRow]:
    rows = []
    for row in entry.rows:
        records = tuple(entry.runs[run_id][1] for run_id in row)
        first = records[0]
        name = "\n".join([entry.digest, *sorted(row)])
        rows.append(
            BoardRow(
                hashlib.sha256(name.encode()).hexdigest()[:16],
                Row(group_of(first), first.label, first.model.image_size, records),
                entry,
                tuple(entry.runs[run_id][0] for run_id in row),
            )
        )
    return rows


def _comparable(record: RunRecord, board: rules.Rules) -> tuple[str, ...]:
    """Returns what rows must have in common to be ranked together, of all that a board's rules may leave open."""
    dataset = record.dataset
    return (
        dataset.task,
        dataset.version,
        f"trained on {dataset.train_split}",
        f"tested on {dataset.test_split}",
        # Seconds mean something on one device alone.
        device(record) if board.budget_kind == "seconds" else "",
    )


def _apart(key: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> str:
    differing = [i for i in range(len(key)) if len({other[i] for other in others}) > 1]
    return ", ".join(key[i] for i in differing)


def _ranking(division: str, apart: str, rows: Iterable[BoardRow]) -> Ranking:
    by_id = {row.row_id: row for row in sorted(rows, key=_order)}
    ranks = rank({row_id: row.row.scores for row_id, row in by_id.items() if row.row.scores})
    ordered = [_ranked(by_id[row_id], place) for row_id, place in ranks.items()]
    unranked = [row for row_id, row in by_id.items() if row_id not in ranks]
    return Ranking(division, apart, (*ordered, *unranked), tuple(_history(ordered)))


def _history(rows: Iterable[BoardRow]) -> list[Record]:
    """Returns the rows that were better than all that had been accepted before them."""
    records: list[Record] = []
    for row in sorted(rows, key=_order):
        score = row.row.score
        if score is not None and (not records or score.mean > records[-1].score):
            records.append(Record(row, score.mean))
    return records


def _ranked(row: BoardRow, place: int) -> BoardRow:
    return dataclasses.replace(row, row=dataclasses.replace(row.row, rank=place))


def _order(row: BoardRow) -> tuple[Any, ...]:
    """Returns what rows are sorted by in time; of those accepted at once the best comes first."""
    score = row.row.score
    return row.entry.accepted.at, -(score.mean if score else 0), row.row_id


def _at_level(verdicts: set[Verdict]) -> Verdict:
    """Returns the verdict at a level: what was not checked there takes nothing from what was."""
    order = (CONTRADICTED, CONSISTENT, VERIFIED, NOT_CHECKED)
    return next((each for each in order if each in verdicts), NOT_CHECKED)
