"""Reads datasets that TFDS has prepared as ArrayRecord, without TensorFlow."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from input_pipeline.errors import DataError, unknown_name
from isobudget.wording import quoted, quoted_path

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# How many records are looked at, spread over a split, when it is opened.
_LABELS_LOOKED_AT = 16

_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Request(NamedTuple):
    """The parts of a dataset's name: `NAME[/CONFIG][:VERSION]`."""

    name: str
    config: str | None
    version: str | None

    def __str__(self) -> str:
        config = f"/{self.config}" if self.config else ""
        version = f":{self.version}" if self.version else ""
        return f"{self.name}{config}{version}"


def parse(name: str) -> Request:
    """Returns the parts of `NAME[/CONFIG][:VERSION]`.

    Raises:
      DataError: `name` is not of that form.
    """
    match = re.fullmatch(r"([A-Za-z]\w*)(?:/([\w.\-]+))?(?::(\d+\.\d+\.\d+))?", name)
    if not match:
        raise DataError(
            f"dataset {quoted(name)} is not a name such as 'cifar10', 'cifar10:3.0.2' or"
            " 'imagenette/320px-v2'"
        )
    return Request(*match.groups())


def name_of_copy(name: str, shorter_side: int) -> str:
    """Returns the name of the copy of `name` whose pictures have at most this shorter side, in pixels."""
    return f"{name}_shorter{shorter_side}"


def find_directory(request: Request, data_dir: Path) -> Path | None:
    """Returns the directory of a prepared dataset, or None if it is not prepared.

    Without a config it is TFDS's default one, without a version the newest.

    Raises:
      DataError: several configs are prepared and none of them is the default.
    """
    root = data_dir / request.name
    if request.config:
        root = root / request.config
    elif not _versions(root):
        configs = sorted({child.parent.name for child in root.glob("*/*") if _is_prepared(child)})
        default = _default_config(root)
        if not configs:
            return None
        if default not in configs and len(configs) > 1:
            listed = " or ".join(f"{request.name}/{config}" for config in configs)
            raise DataError(
                f"dataset {quoted(request.name)} is prepared in several configs: say {listed}"
            )
        root = root / (default if default in configs else configs[0])
    versions = _versions(root)
    if request.version:
        versions = [version for version in versions if version == request.version]
    return root / versions[-1] if versions else None


def _is_prepared(directory: Path) -> bool:
    return bool(_VERSION.fullmatch(directory.name)) and (directory / "dataset_info.json").is_file()


def _versions(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    versions = [child.name for child in root.iterdir() if _is_prepared(child)]
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])


def _default_config(root: Path) -> str | None:
    """Returns the config that TFDS noted as the default when it prepared the dataset."""
    try:
        metadata = json.loads((root / ".config" / "metadata.json").read_text())
    except (OSError, ValueError):
        return None
    return metadata.get("default_config_name")


def read_builder(directory: Path) -> "tfds.core.DatasetBuilder":
    """Returns TFDS's read-only builder of a prepared dataset.

    Raises:
      DataError: the metadata is damaged, or the records are not ArrayRecord.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(directory)
        file_format = builder.info.file_format
    except Exception as error:  # TFDS raises many kinds for a damaged file
        raise DataError(
            f"the metadata in {quoted_path(directory)} cannot be read ({first_line(error)});"
            " remove that directory and prepare the dataset again"
        ) from error
    if file_format is None or file_format.value != "array_record":
        content = file_format.value if file_format else "nothing"
        raise DataError(
            f"{quoted_path(directory)} holds {content}, which has no random access; remove it and prepare"
            " the dataset as array_record with python -m input_pipeline.prepare"
        )
    return builder


class Supervision(NamedTuple):
    """Which features of a prepared dataset are the pictures and their labels.

    Attributes:
      picture_key, label_key: the names of the two features.
      class_names: in the order of the labels.
      multi_label: whether a picture can have any number of labels, or has exactly one.
    """

    picture_key: str
    label_key: str
    class_names: tuple[str, ...]
    multi_label: bool


def supervision(builder: "tfds.core.DatasetBuilder") -> Supervision:
    """Returns which features are supervised: TFDS's supervised keys, else `image` and `label` or `labels`.

    Raises:
      DataError: these are not a picture and its class or list of classes.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    supervised = builder.info.supervised_keys
    for keys in (supervised,) if supervised else (("image", "label"), ("image", "labels")):
        if len(keys) != 2 or not all(isinstance(key, str) and key in features for key in keys):
            continue
        picture, label = (features[key] for key in keys)
        multi_label = isinstance(label, tfds.features.Sequence)
        classes = label.feature if multi_label else label
        if isinstance(picture, tfds.features.Image) and isinstance(
            classes, tfds.features.ClassLabel
        ):
            picture_name, label_name = keys
            return Supervision(picture_name, label_name, tuple(classes.names), multi_label)
    raise DataError(
        f"dataset {quoted(builder.name)} does not hold pictures with one class each, or a list of classes"
        f" (its features: {', '.join(features)})"
    )


def picture_key(builder: "tfds.core.DatasetBuilder") -> str:
    """Returns the name of the feature that is the picture, whatever the labels are.

    Raises:
      DataError: the dataset does not hold pictures.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    supervised = builder.info.supervised_keys
    key = supervised[0] if supervised else "image"
    if isinstance(key, str) and key in features and isinstance(features[key], tfds.features.Image):
        return key
    raise DataError(
        f"dataset {quoted(builder.name)} does not hold pictures (its features: {', '.join(features)})"
    )


def parse_example(record: bytes) -> Any:
    """Returns the tf.train.Example that a record holds.

    TFDS's own reader takes several times as long.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    return tf_example_pb2.Example.FromString(record)


class LabelError(DataError):
    """A record has a label that is none of its dataset's classes."""


def check_labels(labels: Iterable[int], names: Supervision, describe: Callable[[], str]) -> None:
    """Checks that labels are numbers of classes; a loss would make NaN, or nothing, of any other.

    Args:
      labels: those of one record.
      names: the supervision of its dataset.
      describe: returns where the record is; called only for an error.

    Raises:
      LabelError: a label is none of the classes.
    """
    num_classes = len(names.class_names)
    for label in labels:
        if not 0 <= label < num_classes:
            raise LabelError(
                f"{describe()} has label {label}, but the metadata name {num_classes} classes, 0 to"
                f" {num_classes - 1}; use a split that has labels, or prepare the dataset again"
            )


class ArrayRecordSource:
    """One split of a prepared dataset: `{"image": encoded bytes, "label": int}` by position.

    If pictures can have several labels, `label` is float32 [classes], 1 for each that it has.
    """

    def __init__(self, builder: "tfds.core.DatasetBuilder", split: str):
        from array_record.python import array_record_data_source

        info = builder.info.splits[split]
        missing = [path for path in info.filepaths if not Path(path).is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(info.filepaths)} files of split {quoted(split)} are missing,"
                f" the first of them {quoted_path(missing[0])}; remove its directory and prepare the"
                " dataset again"
            )
        self._supervision = supervision(builder)
        self._place = f"of split {quoted(split)} in {quoted_path(builder.data_path)}"
        self._records = array_record_data_source.ArrayRecordDataSource(info.file_instructions)
        self._check_some_labels()

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        try:
            features = parse_example(self._records[index]).features.feature
            labels = features[self._supervision.label_key].int64_list.value
            check_labels(labels, self._supervision, lambda: self.describe(index))
            return {
                "image": features[self._supervision.picture_key].bytes_list.value[0],
                "label": self._multi_hot(labels) if self._supervision.multi_label else labels[0],
            }
        except DataError:
            raise
        except Exception as error:  # the reader is C++ and may raise anything
            raise DataError(
                f"{self.describe(index)} cannot be read ({first_line(error)}); remove that"
                " directory and prepare the dataset again"
            ) from error

    def _check_some_labels(self) -> None:
        """Looks at a few records: names of classes that are not the records' own show before any training.

        Raises:
          DataError: a label is none of the classes.
        """
        size = len(self)
        for index in sorted(
            {size * part // _LABELS_LOOKED_AT for part in range(_LABELS_LOOKED_AT)}
        ):
            try:
                self[index]
            except LabelError:
                raise
            except DataError:
                continue  # damaged: counted where it is used

    def _multi_hot(self, labels: Sequence[int]) -> np.ndarray:
        hot = np.zeros(len(self._supervision.class_names), np.float32)
        hot[list(labels)] = 1
        return hot

    def describe(self, index: int) -> str:
        return f"record {index} {self._place}"


def not_prepared(request: Request, data_dir: Path, own_names: tuple[str, ...]) -> DataError:
    """Returns the error for a dataset that is not in `data_dir`.

    For a name in TFDS's catalog it gives the command that prepares it, for any other the closest names.
    """
    import tensorflow_datasets as tfds

    copy = re.fullmatch(r"(\w+)_shorter(\d+)", request.name)
    if copy:
        original = request._replace(name=copy[1])
        return _not_prepared(request, data_dir, f"--dataset={original} --shorter_side={copy[2]}")
    prepared = {path.name for path in data_dir.glob("*") if any(path.rglob("dataset_info.json"))}
    catalog = set(tfds.list_builders(with_community_datasets=False))
    if request.name not in catalog | prepared:
        return unknown_name(
            "dataset",
            request.name,
            catalog | prepared | set(own_names),
            known_label=", ".join([*sorted({*own_names, *prepared}), "and TFDS's catalog"]),
        )
    return _not_prepared(request, data_dir, f"--dataset={request}")


def _not_prepared(request: Request, data_dir: Path, options: str) -> DataError:
    return DataError(
        f"dataset {quoted(request)} is not prepared in {quoted_path(data_dir)};"
        f" run python -m input_pipeline.prepare {options} --data_dir={data_dir}"
    )


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its class if there is none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
