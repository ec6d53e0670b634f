"""TFDS's split language (`train`, `train[:90%]`, `train+test`) over any random-access source."""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from input_pipeline.errors import DataError, unknown_name
from isobudget.wording import quoted


class Source(Protocol):
    """Random access to encoded examples: `{"image": bytes, "label": int}`, or a float32 [classes] of 0 and 1."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def describe(self, index: int) -> str:
        """Returns where a user finds this example: a path, or the number of a record."""
        ...


class SplitRange(NamedTuple):
    """Examples `start` to `stop` (exclusive) of a whole split."""

    split: str
    start: int
    stop: int


def resolve(spec: str, sizes: Mapping[str, int], dataset_name: str) -> list[SplitRange]:
    """Returns the ranges of whole splits that a specification such as `train[:90%]+test` stands for.

    Raises:
      DataError: the split is unknown, or the slice is malformed or empty.
    """
    import tensorflow_datasets as tfds

    split_infos = {
        name: tfds.core.SplitInfo(
            name=name, shard_lengths=[size], num_bytes=0, filename_template=None
        )
        for name, size in sizes.items()
    }
    for part in spec.split("+"):
        name = part.split("[")[0].strip()
        if name not in sizes and name != "all":
            raise unknown_name(f"split of {dataset_name}", name, sizes)
    try:
        absolute = tfds.core.ReadInstruction.from_spec(spec).to_absolute(split_infos)
    except (AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"split {quoted(spec)} of {dataset_name} cannot be read: {reason.rstrip('.')};"
            " write it as 'train' or 'train[:90%]'"
        ) from error
    ranges = []
    for part in absolute:
        size = sizes[part.splitname]
        start = 0 if part.from_ is None else part.from_
        stop = size if part.to is None else part.to
        ranges.append(SplitRange(part.splitname, start, max(start, stop)))
    if not sum(part.stop - part.start for part in ranges):
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"split {quoted(spec)} of {dataset_name} is empty (examples: {listed})")
    return ranges


class RangesSource:
    """Ranges of whole splits, one after another."""

    def __init__(self, parts: Sequence[tuple[Source, int, int]]):
        self._parts = list(parts)
        self._ends = list(itertools.accumulate(stop - start for _, start, stop in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def _locate(self, index: int) -> tuple[Source, int]:
        part = bisect.bisect_right(self._ends, index)
        source, _, stop = self._parts[part]
        return source, stop - (self._ends[part] - index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        source, position = self._locate(index)
        return source[position]

    def describe(self, index: int) -> str:
        source, position = self._locate(index)
        return source.describe(position)
