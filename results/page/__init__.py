"""The page `index.html`: one file that works offline, and the same figures as SVG and PNG.

`contents` makes what the page holds, `figures` and `curves` the data of its figures, and `charts` their looks.
`library` keeps what is the same in every page; `document` puts everything into one file, with what is under `assets/`.
"""

import contextlib
import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from results.page import contents, document, library
from results.rankings.rows import Table
from results.records.files import write_atomically

FILE_NAME = "index.html"


def write(
    tables: Sequence[Table],
    out_dir: str | os.PathLike[str],
    folders: Mapping[str, Path] | None = None,
) -> Path:
    """Writes the page into `out_dir` and returns its path; the same records give the same bytes.

    Args:
      tables: the rankings, one at least.
      out_dir: the page's folder; runs in folders below it are linked to.
      folders: where each run's files lie, by run id; a run without a folder has no curves.

    Raises:
      OSError: the folder or the file cannot be written.
    """
    path = Path(out_dir) / FILE_NAME
    with without_garbage_collection():
        held = contents.collect(tables, contents.Place(Path(out_dir), folders or {}))
        text = document.to_html(held, *library.load())
    write_atomically(path, text)
    return path


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Keeps the collector from walking millions of objects, all of which are needed, again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
