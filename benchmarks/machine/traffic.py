"""How many bytes a compiled program moves between a device and its memory, by its own text.

Each operation of the entry computation, in which XLA has fused what it could, reads its operands and writes its result.
What caches keep between operations, or an operation skips of its operands, would make it less; what one reads twice,
more.
"""

import math
import re

# In XLA's text, such as `  %fusion.3 = (bf16[8,4]{1,0}, f32[4]{0}) fusion(%a, %b), kind=kLoop`.
_OPERATION = re.compile(
    r"^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<type>\(.*?\)(?= )|\S+) (?P<kind>[\w\-]+)\((?P<operands>.*?)\)(?:,|$)"
)
_ARRAY = re.compile(r"\b(?P<dtype>pred|bf16|[suf]\d+|f8\w+)\[(?P<shape>[\d,]*)\]")
_OPERAND = re.compile(r"%?([\w.\-]+)(?=,|$)")
# These name what others moved.
_FREE = frozenset(("parameter", "get-tuple-element", "tuple", "bitcast", "constant"))


def bytes_moved(text: str) -> int:
    """Returns the bytes that one call of a program moves.

    Args:
      text: the compiled program's, as `jax.stages.Compiled.as_text` returns it.

    Raises:
      ValueError: it has no entry computation.
    """
    _, found, entry = text.partition("\nENTRY ")
    if not found:
        raise ValueError("the text of a compiled program has an ENTRY computation")
    sizes: dict[str, int] = {}
    total = 0
    for line in entry.splitlines():
        operation = _OPERATION.match(line)
        if operation is None:
            continue
        sizes[operation["name"]] = size = _size(operation["type"])
        if operation["kind"] not in _FREE:
            operands = _OPERAND.findall(operation["operands"])
            total += size + sum(sizes.get(each, 0) for each in operands)
    return total


def _size(text: str) -> int:
    return sum(
        _width(array["dtype"]) * math.prod(int(side) for side in array["shape"].split(",") if side)
        for array in _ARRAY.finditer(text)
    )


def _width(dtype: str) -> int:
    if dtype == "pred" or dtype.startswith("f8"):
        return 1
    return max(1, int(dtype.lstrip("bsuf")) // 8)
