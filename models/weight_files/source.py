"""What a reader returns: a file's tensors, and what the file says of the network that they belong to."""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import numpy as np

# A convolution's padding in pixels: ((top, bottom), (left, right)); "SAME" is TensorFlow's, of the input's size.
Padding = str | tuple[tuple[int, int], tuple[int, int]]


class WeightFileError(ValueError):
    """A file that is damaged, of another kind, or of a kind that no model here has; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """An operation of a network's graph.

    Attributes:
      kind: "input", "convolution", "dense", "norm", "affine" (a factor and a summand for each channel), "commutative"
        (a sum, product or maximum of several inputs), "maximum" (a max pool), "pad", "transpose" or "other".
      inputs: the operations whose results it reads, constants left out.
      tensors: by PyTorch's names (weight, bias, running_mean, running_var) and in its layout.
      name: of its first tensor in the file.
      strides: of a convolution or a max pool.
      padding: of a convolution, a max pool or a pad.
      groups: of a convolution.
      epsilon: of a norm.
      channels_last: of a dense layer: whether it reads flattened [height, width, channels].
      scaling: of an operation with a constant: the factor and the summand that it comes to, of one or each channel.
      convention: whose padding it has, "torch" or "tensorflow", where the two differ: the value of a model's option.
    """

    kind: str
    inputs: tuple["Node", ...] = ()
    tensors: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    name: str = ""
    strides: tuple[int, int] = (1, 1)
    padding: Padding | None = None
    groups: int = 1
    epsilon: float | None = None
    channels_last: bool = False
    convention: str | None = None
    scaling: tuple[np.ndarray, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """What a file of weights holds.

    Attributes:
      kind: the format's name, as messages call it.
      state_dicts: tensors by the file's own names and in its layout, by where in the file they lie.
      outputs: the last operations of the graph, if the file has one and it is what says where tensors belong.
      keras: how layers are called if the tensors are those of Keras's, `layer/variable`: "named" by their own names, or
        "counted" by their class and how many of it were written before.
      options: what the file says of the model's options, such as its padding and epsilon.
      preprocessing: what the file says of the pictures: mean, std, channel_order.
      saved: the model that this suite wrote the file from.
    """

    kind: str
    state_dicts: Mapping[str, Mapping[str, np.ndarray]]
    outputs: Sequence[Node] = ()
    keras: Literal["", "named", "counted"] = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preprocessing: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    saved: str | None = None


def need(module: str) -> ModuleType:
    """Returns a library of the extra `[weights]`.

    Raises:
      WeightFileError: it is not installed.
    """
    library = module.removeprefix("google.").partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError:
        raise WeightFileError(
            f"reading it takes the library {library}: pip install 'isobudget[weights]'"
        ) from None


def elementwise(operation: str, operands: Sequence[Node | np.ndarray], name: str = "") -> Node:
    """Returns the node of a sum, product, difference or quotient, one of whose operands may be constant."""
    nodes = tuple(each for each in operands if isinstance(each, Node))
    if len(nodes) > 1:
        return Node("commutative" if operation in ("add", "multiply") else "other", nodes)
    constants = [np.squeeze(each) for each in operands if not isinstance(each, Node)]
    if len(constants) != 1 or constants[0].ndim > 1 or not constants[0].size or not nodes:
        return Node("other", nodes)
    constant = constants[0].astype(np.float32, copy=False)
    one, zero = np.ones((), np.float32), np.zeros((), np.float32)
    is_first = isinstance(operands[0], Node)
    tensors: dict[str, np.ndarray]
    scaling: tuple[np.ndarray, np.ndarray]
    match operation:
        case "add":
            tensors, scaling = {"bias": constant}, (one, constant)
        case "subtract" if is_first:
            tensors, scaling = {"bias": -constant}, (one, -constant)
        case "multiply":
            tensors, scaling = {"weight": constant}, (constant, zero)
        case "divide" if is_first and np.all(constant):
            tensors, scaling = {"weight": 1 / constant}, (1 / constant, zero)
        case _:
            return Node("other", nodes)
    if constant.size < 2:
        return Node("other", nodes, scaling=scaling)
    return Node("affine", nodes, tensors, name, scaling=scaling)


def square(sides: Sequence[int]) -> dict[str, Any]:
    """Returns the side of a network's pictures as a description's `image_size`; nothing if there is no one side."""
    is_square = len(sides) == 2 and sides[0] == sides[1] and 1 < sides[0] < 10_000
    return {"image_size": int(sides[0])} if is_square else {}


def pictures(first: Node) -> dict[str, Any]:
    """Returns the mean and std that a network's own scaling of its pictures stands for; nothing if it has none.

    Args:
      first: its first convolution.
    """
    factor, summand, node = np.ones(3), np.zeros(3), first
    while len(node.inputs) == 1:
        node = node.inputs[0]
        if node.scaling is not None:
            times, plus = node.scaling
            factor, summand = factor * times, summand + factor * plus
    if node.inputs or not np.all(factor > 0) or (np.all(factor == 1) and not summand.any()):
        return {}
    # Factors this small are for values of 0..255.
    std = 1 / (factor * 255) if factor.max() < 0.05 else 1 / factor
    rounded = {"mean": -summand * std, "std": std}
    return {
        name: tuple(round(float(each), 6) for each in values) for name, values in rounded.items()
    }


def padded(node: Node, padding: Padding) -> tuple[Node, Padding]:
    """Returns (what a convolution or pool reads, its padding) with that of a padding before it added."""
    if node.kind != "pad" or not isinstance(padding, tuple) or not isinstance(node.padding, tuple):
        return node, padding
    (top, bottom), (left, right) = node.padding
    (more_top, more_bottom), (more_left, more_right) = padding
    both = ((top + more_top, bottom + more_bottom), (left + more_left, right + more_right))
    return node.inputs[0], both


def convention(
    window: Sequence[int], strides: Sequence[int], padding: Padding | None
) -> str | None:
    """Returns whose padding a convolution or max pool has, "torch" or "tensorflow", where the two differ."""
    if max(strides) < 2 or max(window) <= max(strides) or padding is None:
        return None
    if isinstance(padding, str):
        return "tensorflow"
    if any(low != high for low, high in padding):
        return "tensorflow" if all(low <= high for low, high in padding) else None
    return "torch" if any(low for low, _ in padding) else None


def walk(outputs: Sequence[Node]) -> Iterator[Node]:
    """Yields every operation of a graph."""
    waiting, seen = list(outputs), set(map(id, outputs))
    while waiting:
        node = waiting.pop()
        yield node
        for each in node.inputs:
            if id(each) not in seen:
                seen.add(id(each))
                waiting.append(each)


def options_of(outputs: Sequence[Node]) -> dict[str, Any]:
    """Returns the options of a model that a graph tells: `padding` and `epsilon`, where it has one value of each.

    Raises:
      WeightFileError: it pads now as PyTorch and now as TensorFlow does.
    """
    conventions = {node.convention for node in walk(outputs)} - {None}
    if len(conventions) > 1:
        raise WeightFileError(
            "it pads some layers as PyTorch does and others as TensorFlow does, as no model here"
        )
    options: dict[str, Any] = {"padding": conventions.pop()} if conventions else {}
    epsilons = {node.epsilon for node in walk(outputs)} - {None}
    if len(epsilons) == 1:
        options["epsilon"] = float(f"{epsilons.pop():.6g}")  # stored as float32
    return options
