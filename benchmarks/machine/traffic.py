"""How many bytes a compiled program moves between a device and its memory, by its own text.

Each operation of the entry computation, in which XLA has fused what it could, reads its operands and writes its result.
What caches keep between operations, or an operation skips of its operands, would make it less; what one reads twice,
more. Arrays that XLA keeps in a TPU's fast memory beside its cores do not count; copies between the two count once.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

# In XLA's text, such as `  %fusion.3 = (bf16[8,4]{1,0}, f32[4]{0}) fusion(%a, %b), kind=kLoop`.
_OPERATION = re.compile(
    r"^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<type>\(.*?\)(?= )|\S+) "
    r"(?P<kind>[\w\-]+)\((?P<operands>.*?)\)(?P<attributes>,.*)?$",
    re.MULTILINE,
)
_ARRAY = re.compile(
    r"\b(?P<dtype>pred|bf16|[suf]\d+|f8\w+)\[(?P<shape>[\d,]*)\](?:\{(?P<layout>[^}]*)\})?"
)
_OPERAND = re.compile(r"%?([\w.\-]+)(?=,|$)")
# These name what others moved.
_FREE = frozenset(("parameter", "get-tuple-element", "tuple", "bitcast", "constant"))
# Their result names the operand too, and what they move is done when their `-done` is.
_STARTS = frozenset(("copy-start", "all-gather-start", "collective-permute-start", "async-start"))
# The fast memory, in layouts with tiles, which only a TPU's have.
_FAST = re.compile(r":T\(.*S\(1\)")


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of a compiled program.

    Attributes:
      name: its own.
      kind: such as `fusion` or `all-reduce-start`.
      type: that of its result, with shapes and layouts.
      operands: the names of what it is made of.
      attributes: what follows the operands, such as `custom_call_target`; empty if nothing does.
    """

    name: str
    kind: str
    type: str
    operands: tuple[str, ...]
    attributes: str

    @property
    def result_bytes(self) -> int:
        """The bytes of its result, wherever they lie."""
        return _size(self.type, fast=True)


def operations(text: str) -> Iterator[Operation]:
    """Yields the operations of a text, those inside fusions and other called computations included."""
    for match in _OPERATION.finditer(text):
        operands = tuple(_OPERAND.findall(match["operands"]))
        yield Operation(
            match["name"], match["kind"], match["type"], operands, match["attributes"] or ""
        )


def entry(text: str) -> str:
    """Returns the entry computation's part of a program's text.

    Raises:
      ValueError: it has none.
    """
    _, present, after = text.partition("\nENTRY ")
    if not present:
        raise ValueError("the text of a compiled program has an ENTRY computation")
    return after


def bytes_moved(text: str) -> int:
    """Returns the bytes that one call of a program moves.

    Args:
      text: the compiled program's, as `jax.stages.Compiled.as_text` returns it.

    Raises:
      ValueError: it has no entry computation.
    """
    sizes: dict[str, int] = {}
    total = 0
    for operation in operations(entry(text)):
        sizes[operation.name] = size = _size(operation.type)
        if operation.kind in _FREE or operation.kind.endswith("-done"):
            continue
        total += size
        if operation.kind not in _STARTS:
            total += sum(sizes.get(each, 0) for each in operation.operands)
    return total


def _size(text: str, *, fast: bool = False) -> int:
    """Returns the bytes of a type's arrays.

    Args:
      text: the type.
      fast: whether those in fast memory count.
    """
    return sum(
        _width(array["dtype"]) * math.prod(int(side) for side in array["shape"].split(",") if side)
        for array in _ARRAY.finditer(text)
        if fast or not _FAST.search(array["layout"] or "")
    )


def _width(dtype: str) -> int:
    if dtype == "pred" or dtype.startswith("f8"):
        return 1
    return max(1, int(dtype.lstrip("bsuf")) // 8)
