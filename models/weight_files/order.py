"""The layers of a network in an order that depends on its structure alone, whoever wrote it down.

From the outputs back to the image, an operation's inputs come before itself: those of a concatenation in its own order,
those of a sum or product the longest path first, so that a residual branch comes before its shortcut. Two programs of
the same network list its layers alike, whatever they call them.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx
from jax.extend import core

from models.classifier import Classifier
from models.macs import inner, trace_all, variable_paths
from models.weight_files.source import Node, Padding, WeightFileError


@dataclasses.dataclass
class Unit:
    """A convolution or dense layer of a file, and the batch norm that follows it.

    Attributes:
      node: the convolution or dense layer.
      kernel: [outputs, inputs / groups, height, width] or [outputs, inputs].
      bias: [outputs], or None.
      norm: weight, bias, running_mean and running_var of the batch norm, each [outputs]; None if there is none.
      epsilon: the batch norm's.
    """

    node: Node
    kernel: np.ndarray
    bias: np.ndarray | None = None
    norm: dict[str, np.ndarray] | None = None
    epsilon: float | None = None


@dataclasses.dataclass
class Place:
    """A convolution or dense layer of a model, and the batch norm that follows it.

    Attributes:
      layer: its dotted path.
      shape: of its kernel, in PyTorch's layout.
      has_bias: whether it has a bias of its own.
      norm: the batch norm's path, or None.
      strides: of a convolution.
      padding: of a convolution.
      groups: of a convolution.
    """

    layer: str
    shape: tuple[int, ...]
    has_bias: bool = False
    norm: str | None = None
    strides: tuple[int, int] = (1, 1)
    padding: Padding | None = None
    groups: int = 1


def units(outputs: Sequence[Node]) -> list[Unit]:
    """Returns the layers of a file's graph in order, each with the batch norm after it.

    Raises:
      WeightFileError: operations with weights that are not those of a convolutional network.
    """
    listed: list[Unit] = []
    for node in _ordered(outputs, lambda node: node.inputs, _is_weighted, _is_commutative):
        if node.kind in ("convolution", "dense"):
            listed.append(Unit(node, node.tensors["weight"], node.tensors.get("bias")))
            continue
        if not listed:
            continue  # of the picture, before all layers
        if any(each.shape != (len(listed[-1].kernel),) for each in node.tensors.values()):
            raise WeightFileError("it has a batch norm that follows no layer, as no model here")
        _append(listed[-1], node)
    return listed


def _append(unit: Unit, node: Node) -> None:
    """Adds a batch norm, or a factor and a summand for each channel, to the layer before it."""
    ones = np.ones(len(unit.kernel), np.float32)
    if node.kind == "norm":
        if unit.norm is not None:
            raise WeightFileError("it has two batch norms after one layer, as no model here")
        unit.norm, unit.epsilon = dict(node.tensors), node.epsilon
        return
    scale, shift = node.tensors.get("weight"), node.tensors.get("bias", 0 * ones)
    if unit.norm is None and scale is None:
        unit.bias = shift if unit.bias is None else unit.bias + shift
    else:
        norm = unit.norm or {"weight": ones, "bias": 0 * ones, "running_mean": 0 * ones}
        factor = ones if scale is None else scale
        unit.norm = norm | {"weight": norm["weight"] * factor, "bias": norm["bias"] * factor + shift}  # fmt: skip


def _is_weighted(node: Node) -> bool:
    return bool(node.tensors)


def _is_commutative(node: Node) -> bool:
    return node.kind == "commutative"


def places(model: Classifier, image_size: int) -> list[Place]:
    """Returns the layers of a model in order, those of its auxiliary heads last.

    Args:
      model: of real or of abstract values.
      image_size: the side in pixels of the images that it is traced with.
    """
    graph = _Trace(model, image_size)
    ordered = _ordered(
        graph.outputs,
        graph.inputs.__getitem__,
        graph.weights.__contains__,
        graph.commutative.__contains__,
    )
    variables = {
        tuple(map(str, path)): node
        for path, node in nnx.iter_graph(model)
        if isinstance(node, nnx.Param | nnx.BatchStat)
    }
    listed: list[Place] = []
    known: set[tuple[str, ...]] = set()
    for operation in ordered:
        for path in graph.weights[operation]:
            module = path[:-1]
            if module in known:
                continue
            known.add(module)
            if (*module, "var") in variables:
                listed[-1].norm = ".".join(module)
                continue
            shape = variables[*module, "kernel"].shape
            *window, inputs, outputs = shape
            place = Place(".".join(module), (outputs, inputs, *window), (*module, "bias") in variables)  # fmt: skip
            if operation in graph.convolutions:
                place.strides, place.padding, place.groups = graph.convolutions[operation]
            listed.append(place)
    return listed


class _Trace:
    """A model's jaxpr as a graph of the operations that depend on the image, each a number.

    Attributes:
      outputs: the operations that make the logits, and then those that make auxiliary ones.
      inputs: of each operation.
      weights: the paths of the variables that an operation reads, where it reads any.
      commutative: the sums and products.
      convolutions: strides, padding and groups.
    """

    def __init__(self, model: Classifier, image_size: int):
        self.inputs: dict[int, tuple[int, ...]] = {0: ()}
        self.weights: dict[int, tuple[tuple[str, ...], ...]] = {}
        self.commutative: set[int] = set()
        self.convolutions: dict[int, tuple[Any, Any, int]] = {}
        closed = trace_all(model, image_size)
        paths = [(path,) for path in variable_paths(model)]
        results = self._follow(closed.jaxpr, [*paths, 0])
        self.outputs = [each for each in results if isinstance(each, int)]

    def _follow(self, jaxpr: core.Jaxpr, operands: Sequence[Any]) -> list[Any]:
        """Returns for each output its operation, or the paths of the variables that it is made of."""
        known: dict[Any, Any] = dict(zip(jaxpr.invars, operands, strict=True))

        def look_up(atom: Any) -> Any:
            return () if isinstance(atom, core.Literal) else known.get(atom, ())

        for equation in jaxpr.eqns:
            read = [look_up(atom) for atom in equation.invars]
            bodies = inner(equation)
            if bodies:
                body, _ = bodies[0]
                results = self._follow(body, read[len(read) - len(body.invars) :])
            else:
                results = [self._operation(equation, read)] * len(equation.outvars)
            known |= zip(equation.outvars, results, strict=True)
        return [look_up(atom) for atom in jaxpr.outvars]

    def _operation(self, equation: core.JaxprEqn, read: Sequence[Any]) -> Any:
        inputs = tuple(dict.fromkeys(each for each in read if isinstance(each, int)))
        paths = tuple(dict.fromkeys(path for each in read if isinstance(each, tuple) for path in each))  # fmt: skip
        if not inputs:
            return paths
        number = len(self.inputs)
        self.inputs[number] = inputs
        if paths:
            self.weights[number] = paths
        name, params = equation.primitive.name, equation.params
        if name in ("add", "add_any", "mul", "max"):
            self.commutative.add(number)
        if name == "conv_general_dilated":
            self.convolutions[number] = (
                tuple(params["window_strides"]),
                tuple(tuple(pad) for pad in params["padding"]),
                params["feature_group_count"],
            )
        return number


def _ordered(
    outputs: Iterable[Any], inputs_of: Any, is_weighted: Any, is_commutative: Any
) -> list[Any]:
    """Returns the weighted operations that lead to the outputs, each after those that it depends on."""
    outputs = list(outputs)
    depths = _depths(outputs, inputs_of, is_weighted)
    outputs.sort(key=lambda each: -depths[each])
    ordered: list[Any] = []
    done: set[Hashable] = set()
    for output in outputs:
        stack = [(output, False)]
        while stack:
            node, is_complete = stack.pop()
            if is_complete:
                if is_weighted(node):
                    ordered.append(node)
                continue
            if node in done:
                continue
            done.add(node)
            stack.append((node, True))
            inputs = list(inputs_of(node))
            if is_commutative(node):
                inputs.sort(key=lambda each: -depths[each])
            stack += [(each, False) for each in reversed(inputs)]
    return ordered


def _depths(outputs: Iterable[Any], inputs_of: Any, is_weighted: Any) -> Mapping[Any, int]:
    """Returns how many weighted operations lie on the longest path to each operation.

    Raises:
      WeightFileError: operations that depend on themselves.
    """
    depths: dict[Any, int] = {}
    entered: set[Hashable] = set()
    stack = [(output, False) for output in outputs]
    while stack:
        node, is_complete = stack.pop()
        if is_complete:
            longest = max((depths[each] for each in inputs_of(node)), default=0)
            depths[node] = longest + bool(is_weighted(node))
            continue
        if node in depths:
            continue
        if node in entered:
            raise WeightFileError("its operations depend on themselves")
        entered.add(node)
        stack.append((node, True))
        stack += [(each, False) for each in inputs_of(node) if each not in depths]
    return depths
