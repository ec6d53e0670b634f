"""TensorFlow.js's models: `model.json`, its weights in shards beside it; layers of Keras's, or TensorFlow's graph.

The format is JSON and bare numbers. Weights that were stored in 8 or 16 bits become scale * value + min.
"""

import base64
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isobudget.wording import shorten
from models.weight_files.keras_program import RefusedError, options_of_config, variable
from models.weight_files.source import (
    Node,
    Padding,
    Source,
    WeightFileError,
    convention,
    elementwise,
    options_of,
    padded,
)

_TYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "uint16": "<u2", "bool": "u1"}  # fmt: skip
_ELEMENTWISE = {
    "Add": "add", "AddV2": "add", "BiasAdd": "add", "Mul": "multiply", "Sub": "subtract", "RealDiv": "divide",
}  # fmt: skip
_CONVOLUTIONS = ("Conv2D", "_FusedConv2D")
_DEPTHWISE = ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative")


def read(path: Path) -> Source:
    """Returns the tensors of a TensorFlow.js model, and its graph or the layers of Keras that it is made of.

    Raises:
      WeightFileError: it is damaged, lacks a shard, or has operations that no model here has.
      OSError: it cannot be read.
    """
    try:
        model = json.loads(path.read_bytes())
        manifest, topology = model["weightsManifest"], model["modelTopology"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightFileError("it is no model.json of TensorFlow.js's") from error
    try:
        tensors = dict(_tensors(path.parent, manifest))
        if "node" in topology:
            outputs = _Graph(topology["node"], tensors).outputs()
            return Source("TensorFlow.js", {"": tensors}, outputs=outputs, options=options_of(outputs))  # fmt: skip
        layers = {
            f"{name.rpartition('/')[0]}/{variable(name)}": value for name, value in tensors.items()
        }
        options = options_of_config(topology.get("model_config", topology))
        return Source("TensorFlow.js", {"": layers}, keras="named", options=options)
    except (WeightFileError, OSError):
        raise
    except RefusedError as error:
        raise WeightFileError(str(error)) from error
    except Exception as error:
        # Damaged text may be any other JSON.
        raise WeightFileError(
            "it is damaged, or no model of TensorFlow.js's; download it again"
        ) from error


def _tensors(folder: Path, manifest: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (name, values) of every tensor that a manifest lists."""
    for group in manifest:
        content = b"".join(_shard(folder, name) for name in group["paths"])
        start = 0
        for entry in group["weights"]:
            name, shape = str(entry["name"]), [int(each) for each in entry["shape"]]
            quantization = entry.get("quantization") or {}
            kind = quantization.get("dtype", entry["dtype"])
            if kind not in _TYPES or any(size < 0 for size in shape):
                raise WeightFileError(
                    f"tensor {shorten(name, 60)} is of a type or shape that is not read"
                )
            dtype = np.dtype(_TYPES[kind])
            end = start + math.prod(shape) * dtype.itemsize
            if end > len(content):
                raise WeightFileError("its shards are cut short; download or copy them again")
            values = np.frombuffer(content[start:end], dtype).reshape(shape)
            start = end
            if "scale" in quantization:
                wide = values.astype(np.float64) * float(quantization["scale"])
                values = wide + float(quantization["min"])
            if values.dtype.kind == "f":
                values = values.astype(np.float32)
            yield name, values
        if start != len(content):
            raise WeightFileError("its shards are longer than its tensors; download them again")


def _shard(folder: Path, name: str) -> bytes:
    path = folder / name
    if Path(name).name != name or path.is_symlink() or not path.is_file():
        raise WeightFileError(
            f"its weights should lie beside it, in {shorten(str(name), 60)}; copy that file, too"
        )
    return path.read_bytes()


class _Graph:
    """A graph of TensorFlow's, whose constants are the tensors."""

    def __init__(self, nodes: Any, tensors: Mapping[str, np.ndarray]):
        self._nodes = nodes
        self._tensors = tensors
        self._values: dict[str, Node | np.ndarray] = {}
        self._image = Node("input")

    def outputs(self) -> list[Node]:
        """Returns the operations whose results none reads."""
        operations = {each["name"]: each for each in self._nodes}
        read = set()
        for name in _sorted(operations):
            operation = operations[name]
            inputs = _inputs(operation)
            read.update(inputs)
            self._values[name] = self._run(operation, [self._values[each] for each in inputs])
        last = [self._values[name] for name in operations if name not in read]
        return [each for each in last if isinstance(each, Node)]

    def _run(self, operation: Mapping[str, Any], operands: list[Any]) -> Node | np.ndarray:
        name = operation["op"]
        if operation["name"] in self._tensors:
            return self._tensors[operation["name"]]
        if name == "Placeholder":
            return self._image
        nodes = tuple(each for each in operands if isinstance(each, Node))
        if not nodes:
            return operands[0] if operands else np.zeros(0)
        if name in (*_CONVOLUTIONS, *_DEPTHWISE):
            return self._convolution(operation, operands)
        if name in ("MatMul", "_FusedMatMul") and not isinstance(operands[1], Node):
            transposed = _attribute(operation, "transpose_b", "b", False)
            tensors = {"weight": operands[1] if transposed else operands[1].transpose()}
            if len(operands) > 2:
                tensors["bias"] = operands[2]
            return Node("dense", nodes[:1], tensors, operation["name"], channels_last=True)
        if name.startswith("FusedBatchNorm"):
            names = ("weight", "bias", "running_mean", "running_var")
            tensors = dict(zip(names, operands[1:], strict=True))
            epsilon = _attribute(operation, "epsilon", "f", 1e-4)
            return Node("norm", nodes[:1], tensors, operation["name"], epsilon=float(epsilon))
        if name in _ELEMENTWISE:
            return elementwise(_ELEMENTWISE[name], operands, operation["name"])
        if name in ("Pad", "PadV2", "MirrorPad"):
            amounts = np.asarray(operands[1])
            if amounts.shape == (4, 2):
                (top, bottom), (left, right) = amounts[1:3].astype(int).tolist()
                return Node("pad", nodes, padding=((top, bottom), (left, right)))
        if name in ("MaxPool", "AvgPool"):
            return self._pool(name, operation, nodes[0])
        return Node("commutative" if name in ("AddN", "Maximum") else "other", nodes)

    def _convolution(self, operation: Mapping[str, Any], operands: list[Any]) -> Node:
        image, kernel, *rest = operands
        if not isinstance(image, Node) or isinstance(kernel, Node) or kernel.ndim != 4:
            raise WeightFileError("it has a convolution with other weights than 2-D kernels")
        if any(int(each) != 1 for each in _attribute(operation, "dilations", "i", ())):
            raise WeightFileError("it has dilated convolutions, as no model here")
        depthwise = operation["op"] in _DEPTHWISE
        strides = self._strides(operation)
        node, padding = padded(image, self._padding(operation))
        node = Node(
            "convolution",
            (node,),
            {"weight": kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))},
            operation["name"],
            strides=strides,
            padding=padding,
            groups=kernel.shape[2] if depthwise else 1,
            convention=convention(kernel.shape[:2], strides, padding),
        )
        if len(rest) == 4:
            names = ("weight", "bias", "running_mean", "running_var")
            epsilon = float(_attribute(operation, "epsilon", "f", 1e-4))
            return Node("norm", (node,), dict(zip(names, rest, strict=True)), epsilon=epsilon)
        return elementwise("add", [node, rest[0]]) if rest else node

    def _pool(self, name: str, operation: Mapping[str, Any], node: Node) -> Node:
        window = [int(each) for each in _attribute(operation, "ksize", "i", (1, 1, 1, 1))][1:3]
        strides = self._strides(operation)
        node, padding = padded(node, self._padding(operation))
        if name == "MaxPool":
            whose = convention(window, strides, padding)
            return Node("maximum", (node,), strides=strides, padding=padding, convention=whose)
        same = padding == "SAME" and max(window) > max(strides)
        return Node("other", (node,), convention="tensorflow" if same else None)

    def _strides(self, operation: Mapping[str, Any]) -> tuple[int, int]:
        _, height, width, _ = (
            int(each) for each in _attribute(operation, "strides", "i", (1, 1, 1, 1))
        )
        return height, width

    def _padding(self, operation: Mapping[str, Any]) -> Padding:
        match _attribute(operation, "padding", "s", "VALID"):
            case "SAME":
                return "SAME"
            case "EXPLICIT":
                amounts = [
                    int(each) for each in _attribute(operation, "explicit_paddings", "i", ())
                ]
                return (amounts[2], amounts[3]), (amounts[4], amounts[5])
        return (0, 0), (0, 0)


def _sorted(operations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns operations by name, each after those that it reads.

    Raises:
      WeightFileError: they depend on themselves.
    """
    ordered: dict[str, None] = {}
    entered = set()
    for first in operations:
        stack = [(first, False)]
        while stack:
            name, is_complete = stack.pop()
            if is_complete:
                ordered[name] = None
            elif name not in ordered:
                if name in entered:
                    raise WeightFileError("its operations depend on themselves")
                entered.add(name)
                stack.append((name, True))
                stack += [
                    (each, False) for each in _inputs(operations[name]) if each not in ordered
                ]
    return list(ordered)


def _inputs(operation: Mapping[str, Any]) -> list[str]:
    """Returns the names of the operations that one reads, without what it only waits for."""
    return [
        each.partition(":")[0] for each in operation.get("input", ()) if not each.startswith("^")
    ]


def _attribute(operation: Mapping[str, Any], name: str, kind: str, default: Any) -> Any:
    """Returns an attribute: a number, a text, or a list of numbers."""
    value = operation.get("attr", {}).get(name)
    if value is None:
        return default
    if "list" in value:
        return value["list"].get(kind, default)
    if kind == "s":
        return base64.b64decode(value["s"]).decode()
    return value.get(kind, default)
