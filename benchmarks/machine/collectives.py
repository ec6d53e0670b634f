"""What the devices of a compiled program exchange at each step, by its own text."""

import dataclasses
import re

from benchmarks.machine import traffic

_KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)


@dataclasses.dataclass(frozen=True)
class Collectives:
    """The collective operations of one kind.

    Attributes:
      count: how many there are. One inside a loop counts once.
      bytes: of their results on one device, together.
    """

    count: int
    bytes: int


def of_program(text: str) -> dict[str, Collectives]:
    """Returns a program's collective operations by kind, those that there are.

    Args:
      text: the compiled program's, as `jax.stages.Compiled.as_text` returns it.
    """
    totals: dict[str, Collectives] = {}
    for operation in traffic.operations(text):
        # An asynchronous one is named twice: where it starts and where it is done, where its result is whole.
        kind = re.sub("-done$", "", operation.kind)
        is_start = operation.kind.endswith("-start")
        if kind not in _KINDS or is_start:
            continue
        before = totals.get(kind, Collectives(0, 0))
        totals[kind] = Collectives(before.count + 1, before.bytes + operation.result_bytes)
    return totals
