"""Tiny-ImageNet as people have it: Stanford's zip archive, the folder unpacked from it, or one sorted by class.

    train/<synset>/images/*.JPEG, with a table of boxes beside
    val/images/*.JPEG, and val/val_annotations.txt with the synset of each
    test/images/*.JPEG, without labels
    wnids.txt, words.txt

`val/<synset>/*.JPEG`, into which many people sort the second, is read too. Pictures are known by synset and file name
wherever they lie, so every layout has the same order, slices, labels and version.
"""

import collections
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from input_pipeline import folder, synsets, zip_archive
from input_pipeline.errors import DataError
from input_pipeline.folder import FolderSource
from input_pipeline.names import printable
from input_pipeline.splits import VALIDATION_NAMES, Source
from isobudget.wording import quoted_path

NAME = "tiny_imagenet"
_UNPACKED = "tiny-imagenet-200"
_ALL_CLASSES = 200
_ANNOTATIONS = "val_annotations.txt"
_WNIDS = "wnids.txt"
_IMAGES = "images"
_NAME = re.compile(rf"{NAME}(?:_(\d+))?(?::(.*))?", re.DOTALL)
_TEXTS = (".txt", ".tsv")  # boxes, annotations and tables of words


class Request(NamedTuple):
    """The parts of a dataset's name, `tiny_imagenet[_CLASSES][:PATH]`, None for those that it lacks."""

    num_classes: int | None
    path: str | None


class Contents(NamedTuple):
    """What a copy of Tiny-ImageNet holds.

    Attributes:
      name: `tiny_imagenet`, or `tiny_imagenet_N` for N classes other than 200.
      version: a fingerprint of the pictures' names and classes.
      class_names: words, in the order of the labels, which is that of the synsets.
      split_sizes: the number of pictures of each split.
      open_split: returns the source of a split.
      passed_over: a sentence on files that are not used, or "".
    """

    name: str
    version: str
    class_names: tuple[str, ...]
    split_sizes: Mapping[str, int]
    open_split: Callable[[str], Source]
    passed_over: str


class _Picture(NamedTuple):
    path: str  # below the root
    synset: str
    name: str  # below the synset, the same in every layout


class _Tree(NamedTuple):
    """The files below the root, in a folder or in an archive."""

    pictures: Sequence[str]
    others: collections.Counter[str]
    place: Callable[[str], str]
    read: Callable[[str], bytes | None]
    source: Callable[[Sequence[tuple[str, int]]], Source]


def is_named(dataset: str) -> bool:
    """Returns whether a dataset's name asks for Tiny-ImageNet, with or without a path."""
    return bool(_NAME.fullmatch(dataset))


def parse(dataset: str) -> Request:
    """Returns the parts of `tiny_imagenet[_CLASSES][:PATH]`.

    Raises:
      DataError: the path is empty, or less than one class is asked for.
    """
    match = _NAME.fullmatch(dataset)
    number, path = match.groups() if match else (None, None)
    if path == "":
        raise DataError(f"dataset {quoted_path(dataset)} has no path; write {dataset}PATH")
    if number is not None and int(number) < 1:
        raise DataError(f"dataset '{printable(dataset)}' asks for no classes; {NAME}:PATH has all")
    return Request(None if number is None else int(number), path)


def find(dataset: str, data_dir: Path) -> Path:
    """Returns where the folder or archive lies that is asked for without a path.

    Raises:
      DataError: the data directory has neither.
    """
    for name in (_UNPACKED, f"{_UNPACKED}.zip"):
        if os.path.exists(data_dir / name):
            return data_dir / name
    raise DataError(
        f"dataset {quoted_path(dataset)}: there is no {_UNPACKED} or {_UNPACKED}.zip in '{printable(data_dir)}';"
        f" put either there, or say where it is: {dataset}:PATH"
    )


def scan(path: Path, num_classes: int | None = None) -> Contents:
    """Returns what an archive or folder holds.

    Args:
      path: Stanford's zip archive, the folder unpacked from it, or the folder above that.
      num_classes: keeps the first classes by synset; all if None.

    Raises:
      DataError: it is neither, is damaged, or the pictures, annotations and lists of classes contradict each other.
    """
    tree = _zip_tree(path) if os.path.isfile(path) else _folder_tree(path)
    folders = collections.defaultdict(list)
    for picture in tree.pictures:
        folders[picture.partition("/")[0]].append(picture)
    classes = _classes(tree, folders.pop("train", []))
    pictures = {"train": [each for of_class in classes.values() for each in of_class]}
    named = [name for name in VALIDATION_NAMES if name in folders]
    if len(named) > 1:
        raise DataError(
            f"'{tree.place('')}' has both {named[0]} and {named[1]} with pictures; keep one"
        )
    for name in named:
        pictures["validation"] = _validation(tree, name, folders.pop(name), classes)
    test = folders.pop("test", [])
    if test and all(each.split("/")[1] in classes for each in test):
        pictures["test"] = [_sorted_by_class(each) for each in test]
        test = []
    kept = _first(sorted(classes), num_classes, tree)
    used = {each.path for of_split in pictures.values() for each in of_split}
    strays = (each for each in tree.pictures if each not in used and not each.startswith("test/"))
    others = tree.others + collections.Counter(map(_suffix, strays))
    return _contents(tree, pictures, kept, _passed_over(others, len(test)))


def _contents(
    tree: _Tree, pictures: Mapping[str, list[_Picture]], kept: Sequence[str], passed_over: str
) -> Contents:
    labels = {synset: label for label, synset in enumerate(kept)}
    synonyms = _synonyms(tree)
    if not any(synset in synonyms for synset in kept):
        nameless = f"classes are called by their synsets, for there is no {' or '.join(synsets.TABLES)} that names them"
        passed_over = "; ".join(filter(None, [passed_over, nameless]))
    ordered = {
        split: folder.in_hash_order(
            (f"{each.synset}/{each.name}", each) for each in of_split if each.synset in labels
        )
        for split, of_split in pictures.items()
    }
    files = {
        split: [(each.path, labels[each.synset]) for _, each in of_split]
        for split, of_split in ordered.items()
    }
    return Contents(
        name=NAME if len(kept) == _ALL_CLASSES else f"{NAME}_{len(kept)}",
        version=folder.fingerprint(ordered),
        class_names=synsets.class_names(kept, synonyms),
        split_sizes={split: len(of_split) for split, of_split in files.items()},
        open_split=lambda split: tree.source(files[split]),
        passed_over=passed_over,
    )


def _folder_tree(path: Path) -> _Tree:
    if not os.path.isdir(path):
        raise DataError(
            f"'{printable(path)}' does not exist; name the folder {_UNPACKED} or its zip archive"
        )
    root = path
    if not (root / "train").is_dir() and (path / _UNPACKED).is_dir():
        root = path / _UNPACKED
    if not (root / "train").is_dir():
        raise DataError(f"'{printable(root)}' has no folder train; name the folder {_UNPACKED}")
    pictures, others = folder.files_below(root)
    return _Tree(
        pictures,
        others,
        place=lambda name: printable(root / name),
        read=lambda name: folder.content(root / name) if (root / name).is_file() else None,
        source=lambda files: FolderSource(root, files),
    )


def _zip_tree(path: Path) -> _Tree:
    members = zip_archive.members(path)
    visible = {
        name: member
        for name, member in members.items()
        if not any(map(folder.is_hidden, name.split("/")))
    }
    # The shallowest folder that has `train`, whatever it is called.
    above = [name[: f"/{name}".index("/train/")] for name in visible if "/train/" in f"/{name}"]
    if not above:
        raise DataError(
            f"'{printable(path)}' holds no folder train; name the archive {_UNPACKED}.zip"
        )
    root = min(above, key=lambda prefix: (prefix.count("/"), prefix))
    below = {
        name.removeprefix(root): member for name, member in visible.items() if name.startswith(root)
    }
    suffixes = {name: _suffix(name) for name in below}
    return _Tree(
        sorted(name for name, suffix in suffixes.items() if suffix in folder.SUFFIXES),
        collections.Counter(
            suffix for suffix in suffixes.values() if suffix not in folder.SUFFIXES
        ),
        place=lambda name: printable(path / root / name),
        read=lambda name: zip_archive.read(path, below[name]) if name in below else None,
        source=lambda files: zip_archive.ZipSource(
            path, [(below[name], label) for name, label in files]
        ),
    )


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _sorted_by_class(path: str) -> _Picture:
    """Returns the picture at `<split>/<synset>/[images/]<name>`."""
    _, synset, name = path.split("/", 2)
    return _Picture(path, synset, name.removeprefix(f"{_IMAGES}/"))


def _classes(tree: _Tree, train: Iterable[str]) -> dict[str, list[_Picture]]:
    """Returns the training pictures of each synset, which are those of `wnids.txt` if there is one."""
    classes = collections.defaultdict(list)
    for path in train:
        if path.count("/") > 1:
            picture = _sorted_by_class(path)
            classes[picture.synset].append(picture)
    if not classes:
        raise DataError(f"'{tree.place('train')}' has no pictures in folders of classes")
    listed = tree.read(_WNIDS)
    if listed is not None:
        synsets_listed = set(_text(listed, tree.place(_WNIDS)).split())
        for synset in sorted(synsets_listed ^ set(classes)):
            problem = (
                f"lists {synset}, which has no pictures in train"
                if synset in synsets_listed
                else f"does not list {printable(synset)}, which has pictures in train"
            )
            raise DataError(f"'{tree.place(_WNIDS)}' {problem}; correct either of them")
    return dict(classes)


def _validation(
    tree: _Tree, split: str, paths: Sequence[str], classes: Mapping[str, object]
) -> list[_Picture]:
    """Returns the labeled pictures of the validation split: by the annotations, or by their folders' names."""
    place = f"{split}/{_ANNOTATIONS}"
    sorted_by_class = [path for path in paths if path.split("/")[1] in classes]
    beside = set(paths) - set(sorted_by_class)
    table = tree.read(place)
    if table is None:
        if beside:
            raise DataError(
                f"'{tree.place(min(beside))}' has no label: there is no '{tree.place(place)}', and"
                f" {min(beside).split('/')[1]} is no class of train"
            )
        return [_sorted_by_class(path) for path in paths]
    annotated = _annotated(table, tree.place(place), classes)
    pictures = [_sorted_by_class(path) for path in sorted_by_class]
    for path in sorted(beside):
        name = PurePosixPath(path).name
        if name not in annotated:
            raise DataError(f"'{tree.place(path)}' has no line in '{tree.place(place)}'; add one")
        pictures.append(_Picture(path, annotated[name], name))
    missing = annotated.keys() - {PurePosixPath(path).name for path in paths}
    if missing:
        lost = "" if len(missing) == 1 else f" and {len(missing) - 1} more"
        raise DataError(
            f"'{tree.place(place)}' names {printable(min(missing))}{lost}, but there is no such picture;"
            f" unpack the archive again or remove the line{'s' if lost else ''}"
        )
    for picture in pictures:
        if annotated.get(picture.name, picture.synset) != picture.synset:
            raise DataError(
                f"'{tree.place(picture.path)}' is of class {annotated[picture.name]} by {_ANNOTATIONS}; correct either"
            )
    return pictures


def _annotated(table: bytes, place: str, classes: Mapping[str, object]) -> dict[str, str]:
    """Returns the synset of each file that the annotations name."""
    annotated: dict[str, str] = {}
    for number, line in enumerate(_text(table, place).splitlines(), start=1):
        if not line.strip():
            continue
        name, *columns = (column.strip() for column in line.split("\t"))
        if not name or not columns or not columns[0]:
            raise DataError(f"line {number} of '{place}' has to be a file, a tab and its synset")
        if columns[0] not in classes:
            raise DataError(
                f"line {number} of '{place}' gives {printable(name)} the class '{printable(columns[0])}',"
                " which train does not have"
            )
        if annotated.setdefault(name, columns[0]) != columns[0]:
            raise DataError(
                f"line {number} of '{place}' gives {printable(name)} another class than an earlier line; keep one"
            )
    return annotated


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"'{place}' cannot be read ({error}); unpack the archive again") from error


def _synonyms(tree: _Tree) -> dict[str, str]:
    synonyms: dict[str, str] = {}
    for name in reversed(synsets.TABLES):
        table = tree.read(name)
        if table is not None:
            synonyms |= synsets.read_synonyms(table, tree.place(name))
    return synonyms


def _first(names: Sequence[str], number: int | None, tree: _Tree) -> Sequence[str]:
    if number is not None and number > len(names):
        raise DataError(
            f"'{tree.place('')}' has {len(names)} classes, not the {number} of {NAME}_{number}"
        )
    return names[:number]


def _passed_over(others: collections.Counter[str], unlabeled: int) -> str:
    """Returns a sentence on the test split, whose labels were never published, and on files of other kinds."""
    for suffix in _TEXTS:
        others.pop(suffix, None)
    test = f"passed over the {unlabeled:,} pictures of test, which have no labels"
    return "; ".join(filter(None, [test if unlabeled else "", folder.passed_over(others)]))
