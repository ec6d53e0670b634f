"""The board's Atom feed (RFC 4287): the rows that were accepted last."""

import xml.etree.ElementTree as ElementTree
from urllib.parse import quote, urljoin

from results.board import addresses, contents
from results.board.entries import Board
from results.board.standings import BoardRow, Ranking

_MOST_ENTRIES = 100
_NAMESPACE = "http://www.w3.org/2005/Atom"
_BEFORE_ALL = "1970-01-01T00:00:00Z"  # when a board without a bundle was updated


def to_xml(board: Board, rankings: tuple[Ranking, ...], url: str) -> str:
    """Returns the feed.

    Args:
      board: the board.
      rankings: of it.
      url: where its pages will lie, ending with a slash; empty for addresses relative to the feed.
    """
    feed = ElementTree.Element("feed", xmlns=_NAMESPACE)
    updated = board.entries[-1].accepted.at if board.entries else _BEFORE_ALL
    _text(feed, "title", board.rules.title)
    _text(feed, "id", url or f"urn:isobudget:board:{quote(board.rules.title)}")
    _text(feed, "updated", updated)
    _text(ElementTree.SubElement(feed, "author"), "name", board.rules.title)
    _link(feed, "self", url, addresses.FEED)
    _link(feed, "alternate", url, addresses.INDEX)
    rows = [
        (row, name, ranking)
        for ranking in rankings
        for row, name in zip(ranking.rows, contents.names(ranking.rows), strict=True)
    ]
    rows.sort(key=lambda each: (each[0].entry.accepted.at, each[0].row_id), reverse=True)
    for row, name, ranking in rows[:_MOST_ENTRIES]:
        _entry(feed, row, name, ranking, url)
    ElementTree.indent(feed, " ")
    text = ElementTree.tostring(feed, "unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _entry(feed: ElementTree.Element, row: BoardRow, name: str, ranking: Ranking, url: str) -> None:
    column = contents.primary_column(row.row.group.task)
    raised = any(record.row.row_id == row.row_id for record in ranking.history)
    by = row.entry.accepted.by
    entry = ElementTree.SubElement(feed, "entry")
    record = ", a new record" if raised else ""
    _text(entry, "title", f"{name}: {column.cell(row.row) or 'no'} {column.heading}{record}")
    _text(entry, "id", f"urn:isobudget:row:{row.row_id}")
    _text(entry, "updated", row.entry.accepted.at)
    if by:
        _text(ElementTree.SubElement(entry, "author"), "name", by)
    _link(entry, "alternate", url, addresses.of_row(row.row_id))
    seeds = f"{row.row.seeds} seed{'' if row.row.seeds == 1 else 's'}"
    _text(entry, "summary", f"{ranking.title}. {seeds}. The audit's verdict: {row.verdict}.")


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text


def _link(parent: ElementTree.Element, kind: str, url: str, address: str) -> None:
    ElementTree.SubElement(parent, "link", rel=kind, href=urljoin(url, address))
