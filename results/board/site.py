"""The pages of a board: a function of its folder, and the same bytes for the same folder."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from results.board import addresses, contents, document, feed, first_page, layout, pages
from results.board.entries import Board
from results.board.standings import rankings


def write(board: Board, folder: Path, out: Path, *, url: str = "", bundles: bool = False) -> int:
    """Writes the pages and returns how many rows they show; pages of rows that are gone are removed.

    Args:
      board: the board.
      folder: of the board.
      out: the folder of the pages, made where it is missing.
      url: where the pages will lie, for the feed; empty if that is not known.
      bundles: whether to put the bundles there too.

    Raises:
      OSError: they cannot be written.
    """
    written = set()
    for name, text in _files(board, folder, f"{url.rstrip('/')}/" if url else "", bundles):
        _write(out / name, text)
        written.add(name)
    if bundles:
        for entry in board.entries:
            name = addresses.of_bundle(entry.digest)
            _link(entry.path, out / name)
            written.add(name)
    _remove_others(out, written)
    return sum(name.startswith("rows/") for name in written)


def _files(board: Board, folder: Path, url: str, bundles: bool) -> Iterator[tuple[str, str]]:
    """Yields the name and the text of each file."""
    ranked = rankings(board)
    yield addresses.INDEX, first_page.to_html(contents.collect(board, ranked))
    yield addresses.STYLE, first_page.style()
    yield addresses.DOCUMENT, document.to_json(board, ranked)
    yield addresses.FEED, feed.to_xml(board, ranked, url)
    for ranking in ranked:
        for row, name in zip(ranking.rows, contents.names(ranking.rows), strict=True):
            yield addresses.of_row(row.row_id), pages.of_row(row, name, ranking, board, bundles)
    for entry in board.entries:
        yield addresses.of_audit(entry.digest), pages.of_audit(entry, board, bundles)
        report = layout.folder_of(folder, entry.digest) / layout.AUDIT
        yield addresses.of_audit(entry.digest, ".json"), report.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    """Writes a file, unless it says so already; not to the disk at once, for there may be tens of thousands."""
    data = text.encode()
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _link(source: Path, target: Path) -> None:
    """Puts a file there too, on the same blocks of the disk where that is possible."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _remove_others(out: Path, written: set[str]) -> None:
    """Removes pages of an earlier time that this board does not have; nothing else."""
    patterns = ("rows/*.html", "audits/*.html", "audits/*.json", "bundles/*.zip")
    for pattern in patterns:
        for path in out.glob(pattern):
            if path.relative_to(out).as_posix() not in written:
                path.unlink()
