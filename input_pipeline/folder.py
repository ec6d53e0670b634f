"""A user's own pictures in folders, `PATH/SPLIT/CLASS/*`, read in place."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from input_pipeline.errors import DataError

SUFFIXES = {
    ".bmp",
    ".gif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
}

Label = int | np.ndarray
_Label = TypeVar("_Label", bound=Label)


class Contents(NamedTuple):
    """What a folder of pictures holds.

    `files` gives each split's pictures as (path below the split, label), in reading order; the label
    is the number of a class, or with `multi_label` float32 [classes], 1 for each that the picture has.
    """

    class_names: tuple[str, ...]
    files: Mapping[str, Sequence[tuple[str, Label]]]
    version: str
    multi_label: bool = False


class FolderSource:
    """One split of a folder: `{"image": encoded bytes, "label": as in `Contents`}` by position."""

    def __init__(self, root: Path, files: Sequence[tuple[str, Label]]):
        self._root = root
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, label = self._files[index]
        try:
            return {"image": (self._root / name).read_bytes(), "label": label}
        except OSError as error:
            reason = error.strerror or error
            raise DataError(
                f"{self.describe(index)} cannot be read ({reason}); replace or remove it"
            ) from error

    def describe(self, index: int) -> str:
        return str(self._root / self._files[index][0])


def scan(root: Path) -> Contents:
    """Returns what the folder holds, leaving out hidden files and files that are no pictures.

    The pictures of a split are in the order of a hash of their names, so that a slice such as
    `train[:90%]` has something of every class.

    Raises:
      DataError: it is not a folder or holds no split, a split or class is empty, or a split has a
        class that `train` lacks.
    """
    if not root.is_dir():
        raise DataError(f"{str(root)!r} is not a folder; give one that holds SPLIT/CLASS/pictures")
    classes = {split.name: subfolders(split) for split in subfolders(root)}
    if not classes:
        raise DataError(f"{str(root)!r} has no folders; put pictures in {root}/train/CLASS/")
    for split, folders in classes.items():
        if not folders:
            raise DataError(
                f"split {str(root / split)!r} has no class folders; put pictures in"
                f" {root / split}/CLASS/"
            )
    # The classes of the train split number the labels.
    numbered = [classes["train"]] if "train" in classes else classes.values()
    names = sorted({path.name for folders in numbered for path in folders})
    labels = {name: label for label, name in enumerate(names)}
    files = {split: _pictures(folders, labels) for split, folders in classes.items()}
    return Contents(tuple(names), files, _fingerprint(files))


def subfolders(path: Path) -> list[Path]:
    """Returns the folders in `path` that are not hidden, sorted by name."""
    return sorted(
        child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def _pictures(classes: Sequence[Path], labels: Mapping[str, int]) -> list[tuple[str, int]]:
    files = []
    for folder in classes:
        if folder.name not in labels:
            raise DataError(
                f"class {str(folder)!r} has no folder of that name in the train split; add one"
                f" there or remove it (train has: {', '.join(labels)})"
            )
        names = [
            f"{folder.name}/{child.name}"
            for child in folder.iterdir()
            if child.suffix.lower() in SUFFIXES and not child.name.startswith(".")
        ]
        if not names:
            raise DataError(
                f"class folder {str(folder)!r} has no pictures; remove it or add some"
                f" ({' '.join(sorted(SUFFIXES))})"
            )
        files += [(name, labels[folder.name]) for name in names]
    return in_hash_order(files)


def in_hash_order(files: Iterable[tuple[str, _Label]]) -> list[tuple[str, _Label]]:
    """Returns the pictures in the order of a hash of their names, which looks random but never changes."""
    return sorted(files, key=lambda file: hashlib.sha256(file[0].encode()).digest())


def _fingerprint(files: Mapping[str, Sequence[tuple[str, int]]]) -> str:
    """Returns a version that changes when a picture is added, removed or renamed."""
    names = "\n".join(f"{split}/{name}" for split in sorted(files) for name, _ in files[split])
    return hashlib.sha256(names.encode()).hexdigest()[:12]
