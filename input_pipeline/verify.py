"""Reads and decodes every record of a dataset, checks its labels, and lists the bad ones."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from input_pipeline import datasets, passes, prepared
from input_pipeline.decoding import MAX_PIXELS, decode
from input_pipeline.errors import DataError
from input_pipeline.splits import Source

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class BadRecord(NamedTuple):
    """An unreadable record, by its position in the split; if a whole file is unreadable, its first one."""

    split: str
    position: int
    reason: str


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Attributes:
      expected: the number of records in each split, by the metadata.
      decoded: the number of records in each split that were read and decoded.
      bad: the records that could not be, in reading order.
      passed_over: a sentence on files of a folder that are not used, or "".
    """

    expected: Mapping[str, int]
    decoded: Mapping[str, int]
    bad: tuple[BadRecord, ...]
    passed_over: str = ""

    def __str__(self) -> str:
        """Returns a line for each bad record or file, one on files that are not used, and one with the counts."""
        lines = [f"bad: {split} {position}: {reason}" for split, position, reason in self.bad]
        counts = ", ".join(
            f"{split} {self.decoded[split]} of {expected}"
            for split, expected in self.expected.items()
        )
        if self.passed_over:
            lines.append(self.passed_over)
        return "\n".join([*lines, f"records that decode: {counts}"])


class _Record(NamedTuple):
    split: str
    position: int
    read: Callable[[], bytes]
    describe: Callable[[], str]


def verify(dataset: str, data_dir: str | None = None, max_pixels: int = MAX_PIXELS) -> Report:
    """Reads and decodes every record of a dataset and returns how many can be, and which cannot.

    Args:
      dataset: a prepared or registered dataset, `folder:PATH`, or `tiny_imagenet:PATH`.
      data_dir: the directory of prepared datasets; the default is TFDS's own.
      max_pixels: a picture with more is bad, see `decoding.decode`.

    Raises:
      DataError: the dataset is unknown or not prepared.
    """
    if dataset == "synthetic":
        raise DataError("dataset 'synthetic' is made as it is read; there is nothing to verify")
    bad: list[BadRecord] = []
    passed_over = ""
    if datasets.needs_no_preparation(dataset):
        loaded = datasets.load_silently(dataset, data_dir)
        passed_over = loaded.passed_over
        expected = dict(loaded.split_sizes)
        records = _records_of_folder(loaded)
    else:
        builder = prepared.read_builder(
            datasets.find_prepared(dataset, datasets.directory(data_dir))
        )
        expected = {split: info.num_examples for split, info in builder.info.splits.items()}
        records = _records_of_builder(builder, bad)
    decoded = dict.fromkeys(expected, 0)
    check = functools.partial(_check, max_pixels=max_pixels)
    with passes.progress(f"verifying {dataset}", sum(expected.values())) as advance:
        for record, reason in passes.in_threads(check, records):
            advance(1)
            if reason is None:
                decoded[record.split] += 1
            else:
                bad.append(BadRecord(record.split, record.position, reason))
    order = list(expected)
    bad.sort(key=lambda record: (order.index(record.split), record.position))
    return Report(expected, decoded, tuple(bad), passed_over)


def _records_of_folder(loaded: datasets.Dataset) -> Iterator[_Record]:
    for split, size in loaded.split_sizes.items():
        source = loaded.source(split)
        for index in range(size):
            yield _Record(
                split,
                index,
                functools.partial(_encoded, source, index),
                functools.partial(source.describe, index),
            )


def _encoded(source: Source, index: int) -> bytes:
    return source[index]["image"]


def _records_of_builder(
    builder: "tfds.core.DatasetBuilder", bad: list[BadRecord]
) -> Iterator[_Record]:
    """Yields the records of every file that opens; adds each other file to `bad`."""
    key = prepared.picture_key(builder)
    try:
        supervision = prepared.supervision(builder)
    except DataError:
        supervision = None  # pictures without classes
    for shard in passes.shards(builder):
        try:
            records = passes.open_shard(shard)
        except DataError as error:
            bad.append(BadRecord(shard.split, shard.first, str(error)))
            continue
        for position in range(shard.num_records):
            describe = functools.partial("record {} of {}".format, position, shard.path)
            yield _Record(
                shard.split,
                shard.first + position,
                functools.partial(_read, records, position, key, supervision, describe),
                describe,
            )


def _read(
    records: Sequence[bytes],
    position: int,
    key: str,
    supervision: prepared.Supervision | None,
    describe: Callable[[], str],
) -> bytes:
    features = prepared.parse_example(records[position]).features.feature
    if supervision is not None:
        labels = features[supervision.label_key].int64_list.value
        prepared.check_labels(labels, supervision, describe)
    return features[key].bytes_list.value[0]


def _check(record: _Record, max_pixels: int) -> tuple[_Record, str | None]:
    try:
        decode(record.read(), record.describe, max_pixels)
    except DataError as error:
        return record, str(error)
    except Exception as error:  # the reader is C++ and may raise anything
        return record, f"{record.describe()} cannot be read ({prepared.first_line(error)})"
    return record, None
