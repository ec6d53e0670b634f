"""TensorFlow Lite's files (`.tflite`), by their schema's package `tflite`: weights of any precision as float32.

Quantized weights become scale * (value - zero point), with one scale or one for each output channel. Batch norm is
folded into the convolutions before it, as TensorFlow Lite's converter does.
"""

import math
from pathlib import Path
from typing import Any

import ml_dtypes
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

# By the schema's numbers (TensorType).
_TYPES = {
    0: np.dtype(np.float32), 1: np.dtype(np.float16), 2: np.dtype(np.int32), 3: np.dtype(np.uint8),
    4: np.dtype(np.int64), 6: np.dtype(np.bool_), 7: np.dtype(np.int16), 9: np.dtype(np.int8),
    10: np.dtype(np.float64), 18: np.dtype(ml_dtypes.bfloat16),
}  # fmt: skip
# Tensors and operations; the largest networks here have a few hundred.
_MOST = 20_000
# Values that come out of a file's bytes: those of 8 bits, each used twice.
_MOST_EXPANSION = 2


def read(path: Path) -> Source:
    """Returns the tensors and the graph of a TensorFlow Lite model.

    Raises:
      WeightFileError: it is damaged, or has operations or types that no model here has.
      OSError: it cannot be read.
    """
    schema = need("tflite")
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise WeightFileError("it is no TensorFlow Lite model")
    try:
        reader = _Reader(schema, content)
        outputs = reader.outputs()
        # The model's own input is quantized by what its pictures are normalized with.
        preprocessing = reader.preprocessing()
    except WeightFileError:
        raise
    except Exception as error:
        # Damaged bytes may lead flatbuffers anywhere.
        raise WeightFileError("it is damaged; download or copy it again") from error
    return Source(
        "TensorFlow Lite",
        {"": reader.tensors},
        outputs=outputs,
        options=options_of(outputs),
        preprocessing=preprocessing,
    )


class _Reader:
    """A model's first graph.

    Attributes:
      tensors: those with values, as float32, by name.
    """

    def __init__(self, schema: Any, content: bytes):
        self._schema = schema
        self._model = schema.Model.GetRootAs(bytearray(content), 0)
        self._graph = self._model.Subgraphs(0)
        self._left = _MOST_EXPANSION * len(content)
        self.tensors: dict[str, np.ndarray] = {}
        self._values: dict[int, Node | np.ndarray] = {}
        _check_count(self._graph.TensorsLength())
        _check_count(self._graph.OperatorsLength())
        self._input = Node("input")

    def outputs(self) -> list[Node]:
        """Returns the operations whose results are the model's."""
        for index in _listed(self._graph.InputsAsNumpy()):
            self._values[index] = self._input
        for index in range(self._graph.OperatorsLength()):
            self._run(self._graph.Operators(index))
        results = [self._values.get(index) for index in _listed(self._graph.OutputsAsNumpy())]
        return [each for each in results if isinstance(each, Node)]

    def preprocessing(self) -> dict[str, Any]:
        """Returns the side of the pictures, and of quantized ones the mean and deviation that values stand for."""
        known: dict[str, Any] = {}
        for index in _listed(self._graph.InputsAsNumpy()):
            picture = self._graph.Tensors(index)
            known |= square(_listed(picture.ShapeAsNumpy())[1:3])
            scale, zero_point, _ = self._quantization(picture)
            if picture.Type() == 3 and scale.size == 1 and scale[0] > 0:
                # A pixel's value v, of 0..255, stands for scale * (v - zero point): (v / 255 - mean) / std.
                mean, std = (
                    round(float(zero_point[0]) / 255, 2),
                    round(1 / (255 * float(scale[0])), 2),
                )
                known |= {"mean": (mean,) * 3, "std": (std,) * 3}
        return known

    def _run(self, operator: Any) -> None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        operands = [self._value(index) for index in _listed(operator.InputsAsNumpy()) if index >= 0]
        result = self._operation(_NAMES.get(number, str(number)), operator, operands)
        for index in _listed(operator.OutputsAsNumpy()):
            self._values[index] = result

    def _operation(self, name: str, operator: Any, operands: list[Any]) -> Node | np.ndarray:
        nodes = tuple(each for each in operands if isinstance(each, Node))
        if not nodes:
            # Such as the float16 weights of a model, which it makes float32 itself.
            if name in ("dequantize", "identity"):
                return operands[0]
            raise WeightFileError(f"it computes with constants ({name}); write its weights out")
        match name:
            case "convolution" | "depthwise":
                return self._convolution(name, operator, operands)
            case "dense":
                names = ("weight", "bias")
                tensors = dict(zip(names, operands[1:], strict=False))
                return Node("dense", nodes[:1], tensors, "", channels_last=True)
            case "add" | "multiply" | "subtract" | "divide":
                return elementwise(name, operands)
            case "pad":
                amounts = np.asarray(operands[1])
                if amounts.shape == (4, 2):
                    return Node("pad", nodes, padding=_pair(amounts[1:3]))
            case "average" | "maximum":
                options = self._options(operator, self._schema.Pool2DOptions())
                window = (options.FilterHeight(), options.FilterWidth())
                strides = (options.StrideH(), options.StrideW())
                same = options.Padding() == 0
                if name == "average":
                    is_padded = same and max(window) > max(strides)
                    return Node("other", nodes, convention="tensorflow" if is_padded else None)
                node, padding = padded(nodes[0], "SAME" if same else ((0, 0), (0, 0)))
                whose = convention(window, strides, padding)
                return Node("maximum", (node,), strides=strides, padding=padding, convention=whose)
        return Node("other", nodes)

    def _convolution(self, name: str, operator: Any, operands: list[Any]) -> Node:
        kernel = np.asarray(operands[1])
        if not isinstance(operands[0], Node) or kernel.ndim != 4:
            raise WeightFileError("it has a convolution without an image, or with other weights")
        depthwise = name == "depthwise"
        options = self._options(
            operator,
            self._schema.DepthwiseConv2DOptions() if depthwise else self._schema.Conv2DOptions(),
        )
        if options.DilationHFactor() > 1 or options.DilationWFactor() > 1:
            raise WeightFileError("it has dilated convolutions, as no model here")
        strides = (options.StrideH(), options.StrideW())
        padding: Padding = "SAME" if options.Padding() == 0 else ((0, 0), (0, 0))
        node, padding = padded(operands[0], padding)
        # [1, height, width, outputs] and [outputs, height, width, inputs].
        weight = kernel.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        tensors = {"weight": weight}
        if len(operands) > 2:
            tensors["bias"] = operands[2]
        return Node(
            "convolution",
            (node,),
            tensors,
            self._name(operator.Inputs(1)),
            strides=strides,
            padding=padding,
            groups=len(weight) if depthwise else 1,
            convention=convention(kernel.shape[1:3], strides, padding),
        )

    def _options(self, operator: Any, options: Any) -> Any:
        table = operator.BuiltinOptions()
        if table is None:
            raise WeightFileError("an operation has no options")
        options.Init(table.Bytes, table.Pos)
        return options

    def _name(self, index: int) -> str:
        return (self._graph.Tensors(index).Name() or b"").decode(errors="replace")

    def _value(self, index: int) -> Node | np.ndarray:
        if index not in self._values:
            self._values[index] = self._constant(index)
        return self._values[index]

    def _constant(self, index: int) -> np.ndarray:
        tensor, name = self._graph.Tensors(index), self._name(index)
        shape = _listed(tensor.ShapeAsNumpy())
        shown = shorten(name, 60)
        if any(size < 0 for size in shape):
            raise WeightFileError(f"tensor {shown} has an impossible shape")
        if tensor.Sparsity() is not None:
            raise WeightFileError(f"tensor {shown} is sparse, which is not read")
        if tensor.Type() not in _TYPES:
            raise WeightFileError(
                f"tensor {shown} is of a type that is not read; export it as float32"
            )
        dtype = _TYPES[tensor.Type()]
        raw = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        if isinstance(raw, int) or raw.nbytes != math.prod(shape) * dtype.itemsize:
            raise WeightFileError(f"tensor {shown} has no values, or not as many as its shape says")
        self._left -= math.prod(shape)
        if self._left < 0:
            raise WeightFileError("its tensors are larger than the file")
        values = np.frombuffer(raw.tobytes(), dtype.newbyteorder("<")).reshape(shape)
        value = self._dequantized(tensor, values, shown)
        if np.issubdtype(value.dtype, np.floating):
            self.tensors[name] = value
        return value

    def _dequantized(self, tensor: Any, values: np.ndarray, name: str) -> np.ndarray:
        scale, zero_point, axis = self._quantization(tensor)
        if not scale.size:
            floating = values.dtype.kind == "f" or values.dtype == ml_dtypes.bfloat16
            return values.astype(np.float32) if floating else values
        if scale.size > 1:
            if not 0 <= axis < values.ndim or scale.size != values.shape[axis]:
                raise WeightFileError(f"tensor {name} has other scales than channels")
            shape = [1] * values.ndim
            shape[axis] = scale.size
            scale = scale.reshape(shape)
            zero_point = zero_point.reshape(shape) if zero_point.size > 1 else zero_point
        elif not values.ndim:
            scale, zero_point = scale[0], zero_point[0]
        wide = values.astype(np.float64) - zero_point
        with np.errstate(over="ignore", invalid="ignore"):
            return (wide * scale).astype(np.float32)

    def _quantization(self, tensor: Any) -> tuple[np.ndarray, np.ndarray, int]:
        """Returns (scales, zero points, the axis that they are for) of a tensor; no scales if it is not quantized."""
        quantization = tensor.Quantization()
        nothing = np.zeros(0)
        if quantization is None or quantization.ScaleIsNone() or not quantization.ScaleLength():
            return nothing, nothing, 0
        scale = np.asarray(quantization.ScaleAsNumpy(), np.float64)
        missing = quantization.ZeroPointIsNone() or not quantization.ZeroPointLength()
        zero_point = np.zeros(1) if missing else np.asarray(quantization.ZeroPointAsNumpy(), np.float64)  # fmt: skip
        if zero_point.size not in (1, scale.size):
            raise WeightFileError("a tensor has other zero points than scales")
        return scale, zero_point, quantization.QuantizedDimension()


def _listed(numbers: Any) -> list[int]:
    """Returns a vector of whole numbers as a list; flatbuffers has 0 for one that is not there."""
    return [] if isinstance(numbers, int) else [int(each) for each in _checked(numbers)]


def _checked(numbers: np.ndarray) -> np.ndarray:
    _check_count(numbers.size)
    return numbers


def _check_count(count: int) -> None:
    if count > _MOST:
        raise WeightFileError(f"it has {count:,} parts, as no network")


def _pair(amounts: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    (top, bottom), (left, right) = amounts.tolist()
    return (int(top), int(bottom)), (int(left), int(right))


# What a number of the schema's operators is called here; all others pass their inputs on.
_NAMES: dict[int, str] = {
    0: "add", 1: "average", 3: "convolution", 4: "depthwise", 6: "dequantize", 9: "dense",
    17: "maximum", 18: "multiply", 34: "pad", 41: "subtract", 42: "divide", 60: "pad",
}  # fmt: skip
