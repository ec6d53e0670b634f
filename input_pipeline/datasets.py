"""Datasets by name: the embedded digits, whatever TFDS has prepared, folders, synthetic data."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from input_pipeline import prepared, splits
from input_pipeline.splits import Source

OWN_NAMES = ("digits", "synthetic")
_FOLDER = "folder:"


@dataclass(frozen=True)
class Dataset:
    """A dataset ready to be read.

    Attributes:
        name: As `load` was asked for it.
        version: Of the data, such as "1.0.0".
        class_names: One for each label, in the order of the labels.
        split_sizes: Number of examples in each whole split.
        open_split: Returns the source of a whole split.
    """

    name: str
    version: str
    class_names: tuple[str, ...] = field(repr=False)
    split_sizes: Mapping[str, int]
    open_split: Callable[[str], Source] = field(repr=False, compare=False)

    @property
    def num_classes(self) -> int:
        """Returns the number of classes."""
        return len(self.class_names)

    def num_examples(self, split: str) -> int:
        """Returns the number of examples in `split`, which may be a slice (`train[:90%]`).

        Raises:
            DataError: The split is unknown or empty.
        """
        ranges = splits.resolve(split, self.split_sizes, self.name)
        return sum(part.stop - part.start for part in ranges)

    def source(self, split: str) -> Source:
        """Returns random access to the encoded examples of `split`, which may be a slice.

        Raises:
            DataError: The split is unknown or empty, or its files are missing.
        """
        ranges = splits.resolve(split, self.split_sizes, self.name)
        whole = {part.split: self.open_split(part.split) for part in ranges}
        return splits.RangesSource([(whole[part.split], part.start, part.stop) for part in ranges])


def default_data_dir() -> Path:
    """Returns TFDS's own data directory: $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def directory(data_dir: str | None) -> Path:
    """Returns `data_dir` as a path, TFDS's own directory unless given."""
    return Path(data_dir).expanduser() if data_dir else default_data_dir()


def needs_no_preparation(name: str) -> bool:
    """Says whether the dataset is never written to a data directory."""
    return name == "synthetic" or name.startswith(_FOLDER)


def load(name: str, data_dir: str | None = None) -> Dataset:
    """Returns the dataset called `name`.

    Args:
        name: `digits`; `synthetic`; `folder:PATH` (pictures at PATH/SPLIT/CLASS/*); or any TFDS
            dataset prepared as ArrayRecord, as `NAME[/CONFIG][:VERSION]`.
        data_dir: Where prepared datasets lie; TFDS's own directory unless given.

    Raises:
        DataError: There is no such dataset, it is not prepared, or it cannot be read.
    """
    if name == "synthetic":
        return _load_synthetic()
    if name.startswith(_FOLDER):
        return _load_folder(name)
    return _load_prepared(name, directory(data_dir))


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
    from input_pipeline import folder

    root = Path(name.removeprefix(_FOLDER)).expanduser().absolute()
    contents = folder.scan(root)
    return Dataset(
        name=name,
        version=contents.version,
        class_names=contents.class_names,
        split_sizes={split: len(files) for split, files in contents.files.items()},
        open_split=lambda split: folder.FolderSource(root / split, contents.files[split]),
    )


def _load_prepared(name: str, data_dir: Path) -> Dataset:
    request = prepared.parse(name)
    if request.name == "digits":
        from input_pipeline import digits

        digits.prepare(data_dir)
    found = prepared.find_directory(request, data_dir)
    if found is None:
        raise prepared.not_prepared(request, data_dir, OWN_NAMES)
    builder = prepared.read_builder(found)
    _, label_key = prepared.picture_and_label_keys(builder)
    return Dataset(
        name=name,
        version=str(builder.version),
        class_names=tuple(builder.info.features[label_key].names),
        split_sizes={split: info.num_examples for split, info in builder.info.splits.items()},
        open_split=functools.partial(prepared.ArrayRecordSource, builder),
    )
