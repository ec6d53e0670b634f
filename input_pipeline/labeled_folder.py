"""A user's own pictures with any number of labels each, listed in `PATH/SPLIT/labels.csv`.

The first row is `file` and the names of the labels; every other row is the path of a picture below
the split, and 1 or 0 for each label.
"""

import csv
import hashlib
from pathlib import Path

import numpy as np

from input_pipeline import folder
from input_pipeline.errors import DataError
from input_pipeline.folder import Contents

TABLE = "labels.csv"


def is_one(root: Path) -> bool:
    """Returns whether any split of this folder has a table."""
    return any(root.glob(f"*/{TABLE}"))


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
                f"the labels of {str(root / split / TABLE)!r} are not those of {first}, in the same"
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
    )


def _read(path: Path) -> tuple[tuple[str, ...], list[tuple[str, np.ndarray]]]:
    """Returns the names of the labels, and each picture's path with float32 [labels]."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(path)!r} cannot be read ({reason}); give every split one") from error
    header, *pictures = rows or [[]]
    names = tuple(header[1:])
    if header[:1] != ["file"] or not names or "" in names or len(set(names)) < len(names):
        raise DataError(
            f"the first row of {str(path)!r} has to be file and the names of the labels, each once:"
            " file,cat,dog"
        )
    files = []
    for number, row in enumerate(pictures, start=2):
        if not row:
            continue
        if len(row) != len(header) or not row[0] or set(row[1:]) - {"0", "1"}:
            raise DataError(
                f"row {number} of {str(path)!r} has to be a file and {len(names)} times 0 or 1"
            )
        files.append((row[0], np.array(row[1:], np.float32)))
    if not files:
        raise DataError(f"{str(path)!r} names no pictures; add a row for each")
    return names, folder.in_hash_order(files)
