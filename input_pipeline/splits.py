"""TFDS's split language (`train`, `train[:90%]`, `train+test`) over any random-access source."""

import bisect
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from input_pipeline.errors import DataError, unknown_name
from isobudget.wording import quoted

# What people call the folder of one and the same split.
VALIDATION_NAMES = ("validation", "val", "valid")


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


def validation_aliases(names: Collection[str]) -> dict[str, str]:
    """Returns the split that `validation`, `val` and `valid` stand for, where just one of them is among `names`."""
    present = [name for name in VALIDATION_NAMES if name in names]
    if len(present) != 1:
        return {}
    return {name: present[0] for name in VALIDATION_NAMES if name != present[0]}


def resolve(
    spec: str, sizes: Mapping[str, int], dataset_name: str, aliases: Mapping[str, str] | None = None
) -> list[SplitRange]:
    """Returns the ranges of whole splits that a specification such as `train[:90%]+test` stands for.

    Args:
      spec: in TFDS's split language.
      sizes: the number of examples in each whole split.
      dataset_name: for errors.
      aliases: the split that another name stands for.

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
    parts = []
    for part in spec.split("+"):
        name, bracket, limits = part.partition("[")
        own_name = (aliases or {}).get(name.strip(), name.strip())
        if own_name not in sizes and own_name != "all":
            raise unknown_name(f"split of {dataset_name}", name.strip(), sizes)
        parts.append(f"{own_name}{bracket}{limits}")
    try:
        absolute = tfds.core.ReadInstruction.from_spec("+".join(parts)).to_absolute(split_infos)
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
