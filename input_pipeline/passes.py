"""Passes over whole datasets: the files of a prepared one, threads, and a progress bar."""

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from input_pipeline import prepared
from input_pipeline.errors import DataError
from input_pipeline.names import printable
from isobudget.wording import quoted_path

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

Item = TypeVar("Item")
Result = TypeVar("Result")


class Shard(NamedTuple):
    """One file of a split.

    `first` is the position of its first record in the split, `num_records` the number of records
    by the metadata.
    """

    split: str
    path: Path
    first: int
    num_records: int


def shards(builder: "tfds.core.DatasetBuilder") -> list[Shard]:
    """Returns the files of every split, in the order in which they are read."""
    files = []
    for split, info in builder.info.splits.items():
        first = 0
        for path, length in zip(info.filepaths, info.shard_lengths, strict=True):
            files.append(Shard(split, Path(path), first, length))
            first += length
    return files


def open_shard(shard: Shard) -> Sequence[bytes]:
    """Returns the records of a file, which several threads may read at once.

    Raises:
      DataError: the file is missing or damaged, or does not hold as many records as the metadata
        says.
    """
    from array_record.python import array_record_data_source

    advice = "remove its directory and prepare the dataset again"
    if not shard.path.is_file():
        raise DataError(f"{quoted_path(shard.path)} is missing; {advice}")
    try:
        records = array_record_data_source.ArrayRecordDataSource([str(shard.path)])
    except Exception as error:  # the reader is C++ and may raise anything
        raise DataError(
            f"{quoted_path(shard.path)} cannot be read ({prepared.first_line(error)}); {advice}"
        ) from error
    if len(records) != shard.num_records:
        raise DataError(
            f"{quoted_path(shard.path)} holds {len(records)} records and not {shard.num_records}; {advice}"
        )
    return records


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yields `function` of each item in order, computed by one thread per core.

    Only a few results are kept at a time, so that memory does not grow with the dataset.
    """
    threads = os.cpu_count() or 1
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextlib.contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar, on a terminal only; yields a function that advances it by a number of records."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    # Names come from users: what they hold is no markup and no format.
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task(printable(description), total=total)
        yield lambda count: bar.advance(task, count)
