"""Which part of a suite's runs a command does: `--shard=i/n`, or what a scheduler's environment says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.errors import ConfigError
from isobudget.wording import quoted

Item = TypeVar("Item")

SHARDS_VARIABLE = "ISOBUDGET_SHARDS"


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 0) of `count`."""

    index: int = 0
    count: int = 1

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Returns this shard's items, every n-th from the i-th on; every item is in one shard."""
        return list(items[self.index :: self.count])


def parse(text: str) -> Shard:
    """Returns the shard written `i/n`.

    Raises:
      ConfigError: it is not written like that.
    """
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ConfigError(f"--shard is i/n with i from 0 to n-1, such as 0/4, not {quoted(text)}.")
    return Shard(int(index), int(count))


def from_environment(environment: Mapping[str, str]) -> Shard:
    """Returns the shard of a task of a Slurm array or of a Kubernetes indexed job; without one, the whole.

    Kubernetes gives an index but no count, so the count is `ISOBUDGET_SHARDS`. If it is set, the tasks of a Slurm array
    must count from 0.

    Raises:
      ConfigError: the numbers in the environment make no shard.
    """

    def number(name: str, default: int) -> int:
        try:
            return int(environment.get(name, default))
        except ValueError:
            raise ConfigError(
                f"{name} is a whole number, not {quoted(environment[name])}."
            ) from None

    count = number(SHARDS_VARIABLE, 0)
    if "SLURM_ARRAY_TASK_ID" in environment:
        name = "SLURM_ARRAY_TASK_ID"
        index = number(name, 0)
        if not count:
            count = number("SLURM_ARRAY_TASK_COUNT", 0)
            first, step = number("SLURM_ARRAY_TASK_MIN", 0), number("SLURM_ARRAY_TASK_STEP", 1)
            index = (index - first) // max(1, step)
    else:
        name = "JOB_COMPLETION_INDEX"
        index = number(name, 0)
        count = count or number("JOB_COMPLETION_COUNT", 0)
    if not count or name not in environment:
        return Shard(0, 1)
    if not 0 <= index < count:
        raise ConfigError(
            f"{name}={environment[name]} is not one of {count} in a row: say --shard=i/n."
        )
    return Shard(index, count)
