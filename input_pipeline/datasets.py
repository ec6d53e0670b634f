"""Datasets by name: registered ones, whatever TFDS has prepared, folders, synthetic data."""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from input_pipeline import builders, one_against_rest, prepared, splits, tiny_imagenet
from input_pipeline.errors import unknown_name
from input_pipeline.names import printable
from input_pipeline.splits import Source
from isobudget import paths

_FOLDER = "folder:"


@dataclass(frozen=True)
class Dataset:
    """A dataset ready to be read.

    Attributes:
      name: the name it was loaded by, without the path of one that has a name of its own.
      version: the version of the data, such as "1.0.0".
      class_names: in the order of the labels.
      split_sizes: the number of examples in each whole split.
      open_split: returns the source of a whole split.
      multi_label: whether a picture can have any number of classes, or has exactly one.
      passed_over: a sentence on files of a folder that are not used, or "".
      split_aliases: the split that another name stands for.
    """

    name: str
    version: str
    class_names: tuple[str, ...] = field(repr=False)
    split_sizes: Mapping[str, int]
    open_split: Callable[[str], Source] = field(repr=False, compare=False)
    multi_label: bool = False
    passed_over: str = field(default="", compare=False, repr=False)
    split_aliases: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def num_classes(self) -> int:
        """Returns the number of classes."""
        return len(self.class_names)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Returns the shape of a picture's label: () for a class's number, [classes] for a 0 or 1 for each class."""
        return (self.num_classes,) if self.multi_label else ()

    def num_examples(self, split: str) -> int:
        """Returns the number of examples in `split`, which may be a slice (`train[:90%]`).

        Raises:
          DataError: the split is unknown or empty.
        """
        ranges = splits.resolve(split, self.split_sizes, printable(self.name), self.split_aliases)
        return sum(part.stop - part.start for part in ranges)

    def source(self, split: str) -> Source:
        """Returns random access to the encoded examples of `split`, which may be a slice.

        Raises:
          DataError: the split is unknown or empty, or its files are missing.
        """
        ranges = splits.resolve(split, self.split_sizes, printable(self.name), self.split_aliases)
        whole = {part.split: self.open_split(part.split) for part in ranges}
        return splits.RangesSource([(whole[part.split], part.start, part.stop) for part in ranges])


def default_data_dir() -> Path:
    """Returns TFDS's own data directory: $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    return paths.expanded(
        os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets", "--data_dir or TFDS_DATA_DIR"
    )


def directory(data_dir: str | None) -> Path:
    """Returns `data_dir` as a path; without one, TFDS's own directory."""
    return paths.expanded(data_dir, "it") if data_dir else default_data_dir()


def needs_no_preparation(name: str) -> bool:
    """Returns whether the dataset is read directly and never written to a data directory."""
    return name == "synthetic" or name.startswith(_FOLDER) or tiny_imagenet.is_named(name)


def without_path(name: str) -> str:
    """Returns the name of a dataset without the place where this machine has it; a folder has no other name."""
    return name.partition(":")[0] if tiny_imagenet.is_named(name) else name


def own_names() -> tuple[str, ...]:
    """Returns the names that are known without TFDS's catalog."""
    return (*builders.names(), "synthetic", tiny_imagenet.NAME)


def load(name: str, data_dir: str | None = None, positive_class: str = "") -> Dataset:
    """Returns the dataset called `name`; files of a folder that are passed over are said once, on standard error.

    Args:
      name: `digits`, or its classes 0 to 4 (`digits_low`) or 5 to 9 (`digits_high`);
        `digits_multilabel`; one that a plug-in registers; `synthetic`; `folder:PATH` (pictures
        at PATH/SPLIT/CLASS/*, or named with their labels in PATH/SPLIT/labels.csv);
        `tiny_imagenet:PATH` (the unpacked folder or the zip archive; without a path, that in
        `data_dir`), or `tiny_imagenet_100:PATH` for its first 100 classes by synset; or any TFDS
        dataset prepared as ArrayRecord, as `NAME[/CONFIG][:VERSION]`.
      data_dir: the directory of prepared datasets; the default is TFDS's own.
      positive_class: the name of a class that becomes label 1, while all others become 0; with
        "" the classes stay as they are.

    Raises:
      DataError: the dataset or class is unknown, not prepared, or unreadable.
    """
    dataset = load_silently(name, data_dir)
    if dataset.passed_over:
        _say_once(f"{printable(name)}: {dataset.passed_over}")
    return _against_rest(dataset, positive_class) if positive_class else dataset


def find_prepared(name: str, data_dir: Path) -> Path:
    """Returns the directory of a prepared dataset; a registered one is prepared first if need be.

    Raises:
      DataError: it is not prepared and cannot be prepared here.
    """
    request = prepared.parse(name)
    registered = builders.prepare(request.name, data_dir)
    if registered is not None and str(request) == request.name:
        # The version that is registered, even if there is a newer one beside it.
        return registered
    directory = prepared.find_directory(request, data_dir)
    if directory is None:
        raise prepared.not_prepared(request, data_dir, own_names())
    return directory


def load_silently(name: str, data_dir: str | None = None) -> Dataset:
    """Returns the dataset called `name`, as `load`; its `passed_over` is left to the caller to say."""
    if name == "synthetic":
        return _load_synthetic()
    if name.startswith(_FOLDER):
        return _load_folder(name)
    if tiny_imagenet.is_named(name):
        return _load_tiny_imagenet(name, directory(data_dir))
    return _load_prepared(name, directory(data_dir))


@functools.cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _load_synthetic() -> Dataset:
    from input_pipeline import synthetic

    return Dataset(
        name="synthetic",
        version=synthetic.VERSION,
        class_names=tuple(f"class {label}" for label in range(synthetic.NUM_CLASSES)),
        split_sizes=synthetic.SPLIT_SIZES,
        open_split=synthetic.SyntheticSource,
    )


def _load_folder(name: str) -> Dataset:
    from input_pipeline import folder, labeled_folder

    root = paths.expanded(name.removeprefix(_FOLDER), "the folder").absolute()
    contents = (labeled_folder if labeled_folder.is_one(root) else folder).scan(root)
    return Dataset(
        name=name,
        version=contents.version,
        class_names=contents.class_names,
        split_sizes={split: len(files) for split, files in contents.files.items()},
        open_split=lambda split: folder.FolderSource(root / split, contents.files[split]),
        multi_label=contents.multi_label,
        passed_over=contents.passed_over,
        split_aliases=splits.validation_aliases(contents.files),
    )


def _load_tiny_imagenet(name: str, data_dir: Path) -> Dataset:
    request = tiny_imagenet.parse(name)
    named = request.path and paths.expanded(request.path, "the folder or archive")
    root = (named or tiny_imagenet.find(name, data_dir)).absolute()
    contents = tiny_imagenet.scan(root, request.num_classes)
    return Dataset(
        **contents._asdict(), split_aliases=splits.validation_aliases(contents.split_sizes)
    )


def _load_prepared(name: str, data_dir: Path) -> Dataset:
    builder = prepared.read_builder(find_prepared(name, data_dir))
    supervision = prepared.supervision(builder)
    return Dataset(
        name=name,
        version=str(builder.version),
        class_names=supervision.class_names,
        split_sizes={split: info.num_examples for split, info in builder.info.splits.items()},
        open_split=functools.partial(prepared.ArrayRecordSource, builder),
        multi_label=supervision.multi_label,
    )


def _against_rest(dataset: Dataset, positive_class: str) -> Dataset:
    names = dataset.class_names
    if positive_class not in names:
        raise unknown_name(f"class of {printable(dataset.name)}", positive_class, names)
    positive = names.index(positive_class)
    rest = [name for name in names if name != positive_class]
    return replace(
        dataset,
        name=f"{dataset.name} ({positive_class} against the rest)",
        class_names=(rest[0] if len(rest) == 1 else f"not {positive_class}", positive_class),
        open_split=lambda split: one_against_rest.Source(dataset.open_split(split), positive),
        multi_label=False,
    )
