"""ONNX models (`.onnx`), read by the package `onnx`: by names where these are PyTorch's, otherwise by their graph.

Values that lie in a file beside the model, as PyTorch writes them, are read from its folder alone.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isobudget.wording import shorten
from models.weight_files.source import (
    Node,
    Padding,
    Source,
    WeightFileError,
    convention,
    elementwise,
    need,
    options_of,
    padded,
    square,
)

# Values that come out of a file's bytes; those of 8 bits may be used twice.
_MOST_EXPANSION = 2
_ELEMENTWISE = {"Add": "add", "Sum": "add", "Mul": "multiply", "Sub": "subtract", "Div": "divide"}
_QUANTIZED = ("QLinearConv", "ConvInteger", "MatMulInteger", "QLinearMatMul", "QGemm")


def read(path: Path) -> Source:
    """Returns the tensors and the graph of an ONNX model.

    Raises:
      WeightFileError: it is damaged, or has operations that no model here has.
      OSError: it cannot be read.
    """
    onnx = need("onnx")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
        reader = _Reader(onnx, model.graph, path, len(content))
        outputs = reader.outputs()
    except (WeightFileError, OSError):
        raise
    except Exception as error:
        # Damaged bytes may mean anything to protobuf and to onnx.
        raise WeightFileError(
            "it is damaged, or no ONNX model; download or copy it again"
        ) from error
    return Source(
        "ONNX",
        {"": reader.tensors},
        outputs=outputs,
        options=reader.options(outputs),
        preprocessing=reader.preprocessing(),
    )


class _Reader:
    """A model's graph.

    Attributes:
      tensors: its floating-point initializers by name.
    """

    def __init__(self, onnx: Any, graph: Any, path: Path, size: int):
        self._onnx = onnx
        self._graph = graph
        self._path = path
        self._left = _MOST_EXPANSION * size
        self._checked: set[str] = set()
        self.tensors: dict[str, np.ndarray] = {}
        self._values: dict[str, Node | np.ndarray] = {}
        for initializer in graph.initializer:
            value = self._array(initializer)
            self._values[initializer.name] = value
            if value.dtype.kind == "f":
                self.tensors[initializer.name] = value
        if graph.sparse_initializer:
            raise WeightFileError("it has sparse tensors, which are not read")

    def outputs(self) -> list[Node]:
        """Returns the operations whose results are the model's."""
        image = Node("input")
        for each in self._graph.input:
            self._values.setdefault(each.name, image)
        for operation in self._graph.node:
            operands = [self._values[name] for name in operation.input if name]
            result = self._run(operation, operands)
            for name in operation.output:
                self._values[name] = result
        results = [self._values[each.name] for each in self._graph.output]
        return [each for each in results if isinstance(each, Node)]

    def options(self, outputs: Sequence[Node]) -> dict[str, Any]:
        """Returns what the graph says of a model's options."""
        options = options_of(outputs)
        # torchvision's Inceptions normalize each channel of the image anew, and put them together again.
        node = next((each for each in self._graph.node if each.op_type in ("Conv", "Concat")), None)
        options["transform_input"] = node is not None and node.op_type == "Concat"
        return options

    def preprocessing(self) -> dict[str, Any]:
        """Returns the side of the pictures [batch, channels, height, width], if the model has one."""
        known: dict[str, Any] = {}
        for each in self._graph.input:
            known |= square([side.dim_value for side in each.type.tensor_type.shape.dim][2:])
        return known

    def _run(self, operation: Any, operands: list[Any]) -> Node | np.ndarray:
        attributes = {
            each.name: self._onnx.helper.get_attribute_value(each) for each in operation.attribute
        }
        name = operation.op_type
        if name in _QUANTIZED:
            raise WeightFileError(
                f"it is quantized ({name}), which is not read; export it as float32"
            )
        if name == "Constant":
            value = attributes.get("value")
            if value is None:
                return np.asarray(next(iter(attributes.values())))
            return self._array(value)
        nodes = tuple(each for each in operands if isinstance(each, Node))
        if not nodes:
            return _fold(name, attributes, operands)
        match name:
            case "Conv":
                return self._convolution(operation, attributes, operands)
            case "Gemm":
                return self._dense(operation, attributes, operands)
            case "MatMul" if not isinstance(operands[1], Node):
                tensors = {"weight": np.asarray(operands[1]).transpose()}
                return Node(
                    "dense", nodes, tensors, operation.input[1], channels_last=_is_nhwc(nodes[0])
                )
            case "BatchNormalization":
                names = ("weight", "bias", "running_mean", "running_var")
                tensors = dict(zip(names, operands[1:], strict=True))
                epsilon = attributes.get("epsilon", 1e-5)
                return Node("norm", nodes[:1], tensors, operation.input[1], epsilon=epsilon)
            case "Pad":
                return self._pad(attributes, operands, nodes)
            case "MaxPool" | "AveragePool":
                return _pool(name, attributes, nodes[0])
            case "Transpose":
                is_last = list(attributes.get("perm", ())) == [0, 2, 3, 1]
                return Node("transpose" if is_last else "other", nodes)
            case "ConvTranspose":
                raise WeightFileError("it has transposed convolutions, as no model here")
        if name in _ELEMENTWISE:
            return elementwise(_ELEMENTWISE[name], operands, operation.input[-1])
        return Node("commutative" if name == "Max" else "other", nodes)

    def _convolution(
        self, operation: Any, attributes: Mapping[str, Any], operands: list[Any]
    ) -> Node:
        if (
            isinstance(operands[1], Node)
            or operands[1].ndim != 4
            or not isinstance(operands[0], Node)
        ):
            raise WeightFileError("it has a convolution with other weights than 2-D kernels")
        if any(each != 1 for each in attributes.get("dilations", ())):
            raise WeightFileError("it has dilated convolutions, as no model here")
        window = operands[1].shape[2:]
        strides = _strides(attributes)
        node, padding = padded(operands[0], _padding(attributes))
        tensors = dict(zip(("weight", "bias"), operands[1:], strict=False))
        return Node(
            "convolution",
            (node,),
            tensors,
            operation.input[1],
            strides=strides,
            padding=padding,
            groups=attributes.get("group", 1),
            convention=convention(window, strides, padding),
        )

    def _dense(self, operation: Any, attributes: Mapping[str, Any], operands: list[Any]) -> Node:
        if isinstance(operands[1], Node) or operands[1].ndim != 2 or attributes.get("transA"):
            raise WeightFileError("it has a product of matrices that no model here has")
        if any(attributes.get(each, 1.0) != 1.0 for each in ("alpha", "beta")):
            raise WeightFileError("it has a product of matrices with factors, as no model here")
        weight = operands[1] if attributes.get("transB") else operands[1].transpose()
        tensors = {"weight": weight}
        if len(operands) > 2:
            tensors["bias"] = np.ravel(operands[2])
        return Node(
            "dense",
            (operands[0],),
            tensors,
            operation.input[1],
            channels_last=_is_nhwc(operands[0]),
        )

    def _pad(
        self, attributes: Mapping[str, Any], operands: list[Any], nodes: tuple[Node, ...]
    ) -> Node:
        amounts = operands[1] if len(operands) > 1 else attributes.get("pads", ())
        amounts = [int(each) for each in np.ravel(amounts)]
        if len(amounts) != 8:
            return Node("other", nodes)
        _, _, top, left, _, _, bottom, right = amounts
        return Node("pad", nodes, padding=((top, bottom), (left, right)))

    def _array(self, tensor: Any) -> np.ndarray:
        """Returns a tensor's values, as float32 if they are floating.

        Raises:
          WeightFileError: they are not all in the file, or in another that is not beside it.
        """
        shown = shorten(tensor.name, 60)
        helper = self._onnx.numpy_helper
        count = math.prod(tensor.dims)
        if any(size < 0 for size in tensor.dims):
            raise WeightFileError(f"tensor {shown} has an impossible shape")
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            self._count_external(tensor)
        self._left -= count
        if self._left < 0:
            raise WeightFileError(f"tensor {shown} is larger than the file")
        if tensor.data_type == self._onnx.TensorProto.STRING:
            raise WeightFileError(f"tensor {shown} is of texts")
        value = np.asarray(helper.to_array(tensor, base_dir=str(self._path.parent)))
        floating = value.dtype.kind == "f" or value.dtype.name == "bfloat16"
        return value.astype(np.float32) if floating else value

    def _count_external(self, tensor: Any) -> None:
        """Adds the size of the file that a tensor's values lie in, once.

        Raises:
          WeightFileError: it is not in the model's folder.
        """
        location = next((each.value for each in tensor.external_data if each.key == "location"), "")
        beside = self._path.parent / location
        if Path(location).name != location or beside.is_symlink() or not beside.is_file():
            raise WeightFileError(
                f"its values should lie beside it, in {shorten(location, 60)}; copy that file, too"
            )
        if location not in self._checked:
            self._checked.add(location)
            self._left += _MOST_EXPANSION * beside.stat().st_size


def _fold(name: str, attributes: Mapping[str, Any], operands: list[Any]) -> np.ndarray:
    """Returns the result of an operation on constants that only changes how they are written."""
    match name:
        case "Identity" | "Cast" | "Unsqueeze" | "Squeeze" | "Reshape" | "Flatten" if operands:
            value = np.asarray(operands[0])
            if name == "Reshape" and operands[1].size and -1 in operands[1]:
                return value.reshape([int(each) for each in operands[1]])
            if name == "Reshape" and math.prod(map(int, operands[1])) == value.size:
                return value.reshape([int(each) for each in operands[1]])
            return value
        case "Transpose":
            return np.transpose(operands[0], attributes.get("perm"))
        case "DequantizeLinear":
            return _dequantized(attributes, operands)
    # A constant that no weights are made of, such as a shape.
    return np.zeros(0)


def _dequantized(attributes: Mapping[str, Any], operands: list[Any]) -> np.ndarray:
    value, scale, *rest = operands
    zero_point = rest[0] if rest else np.zeros((), np.int64)
    if np.size(scale) > 1:
        shape = [1] * value.ndim
        shape[attributes.get("axis", 1)] = scale.size
        scale, zero_point = np.reshape(scale, shape), np.reshape(zero_point, shape)
    return ((value.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _strides(attributes: Mapping[str, Any]) -> tuple[int, int]:
    height, width = attributes.get("strides", (1, 1))
    return height, width


def _padding(attributes: Mapping[str, Any]) -> Padding:
    if attributes.get("auto_pad", b"NOTSET") in (b"SAME_UPPER", b"SAME_LOWER"):
        return "SAME"
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return (top, bottom), (left, right)


def _pool(name: str, attributes: Mapping[str, Any], node: Node) -> Node:
    window, strides = attributes["kernel_shape"], _strides(attributes)
    node, padding = padded(node, _padding(attributes))
    if name == "MaxPool":
        # More at the end may also be what `ceil_mode` means.
        whose = convention(window, strides, padding)
        whose = whose if padding == "SAME" or whose == "torch" else None
        return Node("maximum", (node,), strides=strides, padding=padding, convention=whose)
    is_padded = padding == "SAME" or any(each for pair in padding for each in pair)
    counted = "torch" if attributes.get("count_include_pad", 0) else "tensorflow"
    return Node("other", (node,), convention=counted if is_padded else None)


def _is_nhwc(node: Node) -> bool:
    """Returns whether what a dense layer reads was transposed to [height, width, channels] before it was flattened."""
    while node.kind in ("other", "transpose") and len(node.inputs) == 1 and not node.tensors:
        if node.kind == "transpose":
            return True
        node = node.inputs[0]
    return False
