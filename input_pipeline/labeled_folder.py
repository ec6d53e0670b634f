"""A user's own pictures with any number of labels each, listed in `PATH/SPLIT/labels.csv`.

The first row is `file` and the names of the labels; every other row is the path of a picture below
the split, and 1 or 0 for each label.
"""

import codecs
import collections
import csv
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from input_pipeline import folder
from input_pipeline.errors import DataError
from input_pipeline.folder import Contents
from input_pipeline.names import printable
from isobudget.wording import quoted

TABLE = "labels.csv"


def is_one(root: Path) -> bool:
    """Returns whether any split of this folder has a table."""
    return root.is_dir() and any((split / TABLE).exists() for split in folder.subfolders(root))


def scan(root: Path) -> Contents:
    """Returns what the tables of the splits list, the pictures in the order of `folder.scan`.

    Raises:
      DataError: a table is missing, empty or damaged, or two tables have different labels.
    """
    tables = {split.name: _read(split / TABLE) for split in folder.subfolders(root)}
    (first, (names, _)), *others = tables.items()
    for split, (other, _) in others:
        if other != names:
            raise DataError(
                f"the labels of '{printable(root / split / TABLE)}' are not those of {first}, in the same"
                f" order: {', '.join(other)} and {', '.join(names)}"
            )
    digests = "\n".join(
        f"{split} {hashlib.sha256((root / split / TABLE).read_bytes()).hexdigest()}"
        for split in sorted(tables)
    )
    return Contents(
        class_names=names,
        files={split: files for split, (_, files) in tables.items()},
        version=hashlib.sha256(digests.encode()).hexdigest()[:12],
        multi_label=True,
        passed_over=folder.passed_over(_not_named(root, tables), f"that {TABLE} does not name"),
    )


def _not_named(
    root: Path, tables: Mapping[str, tuple[tuple[str, ...], list[tuple[str, np.ndarray]]]]
) -> collections.Counter[str]:
    """Returns how many files with each suffix lie in the splits, or beside them, and are in no table."""
    others = folder.files_beside([root])
    for split, (_, files) in tables.items():
        listing = folder.files_below(root / split)
        named = {os.path.normpath(name) for name, _ in files}
        others.update(listing.others)
        others.update(
            os.path.splitext(name)[1].lower() for name in listing.pictures if name not in named
        )
        others[".csv"] -= 1  # the table itself
    return +others


def _read(path: Path) -> tuple[tuple[str, ...], list[tuple[str, np.ndarray]]]:
    """Returns the names of the labels, and each picture's path with float32 [labels]."""
    header, *pictures = _rows(path) or [[]]
    names = tuple(header[1:])
    if header[:1] != ["file"] or not names or "" in names or len(set(names)) < len(names):
        raise DataError(
            f"the first row of '{printable(path)}' has to be file and the names of the labels, each once,"
            " separated by commas: file,cat,dog"
        )
    files = []
    rows_of: dict[str, tuple[int, list[str]]] = {}
    for number, row in enumerate(pictures, start=2):
        if not row:
            continue
        if len(row) != len(header) or not row[0] or set(row[1:]) - {"0", "1"}:
            raise DataError(
                f"row {number} of '{printable(path)}' has to be a file and {len(names)} times 0 or 1"
            )
        name = os.path.normpath(row[0])
        if os.path.isabs(name) or name.split(os.sep)[0] == os.pardir:
            raise DataError(
                f"row {number} of '{printable(path)}' names {quoted(row[0])}, which is not in this split;"
                " give paths below the split's folder"
            )
        first, labels = rows_of.setdefault(name, (number, row[1:]))
        if labels != row[1:]:
            raise DataError(
                f"rows {first} and {number} of '{printable(path)}' give {quoted(row[0])} different labels; keep one"
            )
        files.append((row[0], np.array(row[1:], np.float32)))
    if not files:
        raise DataError(f"'{printable(path)}' names no pictures; add a row for each")
    return names, folder.in_hash_order(files)


def _rows(path: Path) -> list[list[str]]:
    """Returns the rows of a table in UTF-8, or in UTF-16 as spreadsheets write it.

    Raises:
      DataError: it cannot be read, is no such text, or has a quotation mark too many.
    """
    place = printable(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"'{place}' cannot be read ({error.strerror or error}); give every split one"
        ) from error
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"'{place}' cannot be read ({error}); save it as UTF-8") from error
    if "\0" in text:
        raise DataError(f"'{place}' is no text in UTF-8; save it as CSV in UTF-8")
    # Strict, else a quotation mark that is never closed swallows the rest of the table.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    while True:
        begins = reader.line_num + 1
        try:
            rows.append(next(reader))
        except StopIteration:
            return rows
        except csv.Error as error:
            raise DataError(
                f"'{place}' cannot be read from line {begins} on ({error}); look for a quotation mark too many"
            ) from error
