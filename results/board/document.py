"""Everything of a board as one JSON document."""

import dataclasses
from typing import Any

from results.audit import LEVELS
from results.board import addresses
from results.board.entries import Board
from results.board.standings import BoardRow, Ranking
from results.tables.columns import COLUMNS
from results.tables.document import lines, row_values

SCHEMA_VERSION = 1


def to_json(board: Board, rankings: tuple[Ranking, ...]) -> str:
    """Returns the board as strict JSON text, a line a row; docs/boards.md explains the fields."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "rules": dataclasses.asdict(board.rules),
        "levels": LEVELS,
        "columns": [{"name": c.name, "unit": c.unit, "doc": c.doc} for c in COLUMNS],
        "bundles": [
            {
                "sha256": entry.digest,
                "by": entry.accepted.by,
                "at": entry.accepted.at,
                "audit": addresses.of_audit(entry.digest, ".json"),
                "runs": list(entry.runs),
            }
            for entry in board.entries
        ],
        "rankings": [_ranking(ranking) for ranking in rankings],
    }
    return lines(document, 4) + "\n"


def _ranking(ranking: Ranking) -> dict[str, Any]:
    return {
        "division": ranking.division,
        "title": ranking.title,
        "rows": [_row(row) for row in ranking.rows],
        "history": [
            {
                "row": row.row_id,
                "at": row.entry.accepted.at,
                "by": row.entry.accepted.by,
                "score": score,
            }
            for row, score in ranking.history
        ],
    }


def _row(row: BoardRow) -> dict[str, Any]:
    runs = [
        {
            "run_id": run.run_id,
            "seed": run.seed,
            "verdict": audit.verdict,
            "weights_digest": run.weights_digest,
        }
        for run, audit in zip(row.row.runs, row.audits, strict=True)
    ]
    return {
        "id": row.row_id,
        "page": addresses.of_row(row.row_id),
        "bundle": row.entry.digest,
        "by": row.entry.accepted.by,
        "at": row.entry.accepted.at,
        "verdict": row.verdict,
        "verdicts": dict(row.levels),
        "runs_of_row": runs,
        **row_values(row.row),
    }
