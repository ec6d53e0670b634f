"""A user's own pictures in folders, `PATH/SPLIT/CLASS/*`, read in place."""

import collections
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from input_pipeline import synsets
from input_pipeline.errors import DataError
from input_pipeline.names import encoded, printable

# Every suffix of the formats for photographs and drawings that Pillow reads without another program.
SUFFIXES = frozenset({
    ".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".ico", ".j2c", ".j2k", ".jfif", ".jp2",
    ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi",
    ".tga", ".tif", ".tiff", ".webp",
})  # fmt: skip
PICTURES = ".jpg, .png, .webp, .tif or another suffix of a format that Pillow reads"
# What systems put beside pictures, and no one means as data.
_SYSTEM_FILES = frozenset({"__macosx", "desktop.ini", "thumbs.db"})
_MAX_NAMED = 5

Label = int | np.ndarray
_Value = TypeVar("_Value")


class Listing(NamedTuple):
    """The files below a folder, without hidden ones.

    Attributes:
      pictures: paths below the folder, sorted, with `/`; those in sub-folders and linked ones too.
      others: how many other files have each suffix, "" for none.
    """

    pictures: list[str]
    others: collections.Counter[str]


class Contents(NamedTuple):
    """What a folder of pictures holds.

    `files` gives each split's pictures as (path below the split, label), in reading order; the label
    is the number of a class, or with `multi_label` float32 [classes], 1 for each that the picture has.
    `passed_over` is a sentence on the files that are not used, or "".
    """

    class_names: tuple[str, ...]
    files: Mapping[str, Sequence[tuple[str, Label]]]
    version: str
    multi_label: bool = False
    passed_over: str = ""


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
        return printable(self._root / self._files[index][0])


def scan(root: Path) -> Contents:
    """Returns what the folder holds, leaving out hidden files and files that are no pictures.

    The pictures of a split are in the order of a hash of their names, so that a slice such as
    `train[:90%]` has something of every class. Those in folders below a class's are of that class, too.
    Classes that are synsets are called by the words that a table beside the splits has for them.

    Raises:
      DataError: it is not a folder or holds no split, a split or class is empty, a folder cannot be read, or a
        split has a class that `train` lacks.
    """
    if not root.is_dir():
        raise DataError(
            f"'{printable(root)}' is not a folder; give one that holds SPLIT/CLASS/pictures"
        )
    classes = {split.name: subfolders(split) for split in subfolders(root)}
    if not classes:
        raise DataError(
            f"'{printable(root)}' has no folders; put pictures in {printable(root)}/train/CLASS/"
        )
    for split, folders in classes.items():
        if not folders:
            place, above = printable(root / split), printable(root.parent)
            instead = "" if any(classes.values()) else f", or give '{above}' if this is a class"
            raise DataError(
                f"split '{place}' has no class folders; put pictures in {place}/CLASS/{instead}"
            )
    # The classes of the train split number the labels.
    numbered = [classes["train"]] if "train" in classes else classes.values()
    names = sorted({path.name for folders in numbered for path in folders})
    labels = {name: label for label, name in enumerate(names)}
    others = files_beside([root, *subfolders(root)])
    files = {split: _pictures_of(folders, labels, others) for split, folders in classes.items()}
    return Contents(
        _class_names(root, names, others),
        files,
        fingerprint(files),
        passed_over=passed_over(others),
    )


def _class_names(
    root: Path, names: Sequence[str], others: collections.Counter[str]
) -> tuple[str, ...]:
    """Returns the folders' names, or words for those that are synsets; takes the tables used out of `others`."""
    synonyms: dict[str, str] = {}
    if any(map(synsets.is_synset, names)):
        for table in reversed(synsets.TABLES):
            path = root / table
            if path.is_file():
                in_table = synsets.read_synonyms(content(path), printable(path))
                if not in_table.keys().isdisjoint(names):
                    synonyms |= in_table
                    others[_suffix(table)] -= 1
    return synsets.class_names(names, synonyms)


def content(path: Path) -> bytes:
    """Returns the content of a file.

    Raises:
      DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"'{printable(path)}' cannot be read ({error.strerror or error})"
        ) from error


def subfolders(path: Path) -> list[Path]:
    """Returns the folders in `path` that are not hidden, sorted by name.

    Raises:
      DataError: `path` cannot be read.
    """
    return sorted(Path(entry) for entry in _entries(path) if entry.is_dir())


def files_beside(folders: Iterable[Path]) -> collections.Counter[str]:
    """Returns how many files with each suffix lie where a dataset has only folders."""
    return collections.Counter(
        _suffix(entry.name)
        for folder in folders
        for entry in _entries(folder)
        if not entry.is_dir()
    )


def files_below(root: Path) -> Listing:
    """Returns the files below a folder, through linked folders too, each of which is entered once on a path.

    Raises:
      DataError: a folder cannot be read.
    """
    pictures: list[str] = []
    others: collections.Counter[str] = collections.Counter()

    def visit(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        for entry in _entries(folder):
            name = prefix + entry.name
            if not entry.is_dir():
                if _suffix(name) in SUFFIXES:
                    pictures.append(name)
                else:
                    others[_suffix(name)] += 1
                continue
            status = entry.stat()
            identity = (status.st_dev, status.st_ino)
            if identity not in above:  # else a link to a folder that it is in
                visit(Path(entry), f"{name}/", above | {identity})

    status = root.stat()
    visit(root, "", frozenset({(status.st_dev, status.st_ino)}))
    return Listing(sorted(pictures), others)


def passed_over(others: Mapping[str, int], place: str = "") -> str:
    """Returns a sentence on files that are not used, given how many have each suffix; "" if there are none.

    Args:
      others: the number of files by suffix.
      place: which of them these are, such as `that labels.csv does not name`.
    """
    others = {suffix: count for suffix, count in others.items() if count}
    total = sum(others.values())
    if not total:
        return ""
    counts = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    named = [
        f"{count} {printable(suffix) or 'without a suffix'}"
        for suffix, count in counts[:_MAX_NAMED]
    ]
    rest = total - sum(count for _, count in counts[:_MAX_NAMED])
    listed = ", ".join([*named, *([f"{rest} more"] if rest else [])])
    return f"passed over {total} file{'s' if total > 1 else ''}{place and ' '}{place} ({listed})"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Returns what is in a folder and not hidden, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for entry in entries if not is_hidden(entry.name)),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise DataError(
            f"folder '{printable(folder)}' cannot be read ({error.strerror or error})"
        ) from error


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is hidden, or one that a system puts beside pictures."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _pictures_of(
    classes: Sequence[Path], labels: Mapping[str, int], others: collections.Counter[str]
) -> list[tuple[str, int]]:
    """Returns the pictures of a split, each with its label, and adds its other files to `others`."""
    files = []
    for folder in classes:
        if folder.name not in labels:
            raise DataError(
                f"class '{printable(folder)}' has no folder of that name in the train split; add one"
                f" there or remove it (train has: {', '.join(map(printable, labels))})"
            )
        listing = files_below(folder)
        if not listing.pictures:
            because = passed_over(listing.others)
            raise DataError(
                f"class folder '{printable(folder)}' has no pictures; remove it or add some"
                f" ({PICTURES}){because and '; '}{because}"
            )
        others.update(listing.others)
        files += [(f"{folder.name}/{name}", labels[folder.name]) for name in listing.pictures]
    return in_hash_order(files)


def in_hash_order(files: Iterable[tuple[str, _Value]]) -> list[tuple[str, _Value]]:
    """Returns the pictures in the order of a hash of their names, which looks random but never changes."""
    return sorted(files, key=lambda file: hashlib.sha256(encoded(file[0])).digest())


def fingerprint(files: Mapping[str, Sequence[tuple[str, object]]]) -> str:
    """Returns a version that changes when a picture is added, removed or renamed."""
    names = "\n".join(f"{split}/{name}" for split in sorted(files) for name, _ in files[split])
    return hashlib.sha256(encoded(names)).hexdigest()[:12]
