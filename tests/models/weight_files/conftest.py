"""Three networks as lists of operations, and writers of other programs' formats, unaware of the readers.

An operation is (kind, result, inputs, name of its tensors, attributes). Tensors are PyTorch's, by this suite's names.
"""

import base64
import itertools
import json
import struct
import sys
from pathlib import Path
from typing import Any

import flatbuffers
import h5py
import numpy as np
import onnx
import pytest
import tflite
from onnx import helper, numpy_helper

EPSILON = 1e-3
Operation = tuple[str, str, tuple[str, ...], str, dict[str, Any]]


class _List:
    """Operations, each of which reads the last result unless it is told otherwise."""

    def __init__(self):
        self.operations: list[Operation] = []
        self.last = "image"

    def add(
        self, kind: str, name: str = "", inputs: tuple[str, ...] = (), **attributes: Any
    ) -> str:
        result = f"r{len(self.operations)}"
        self.operations.append((kind, result, inputs or (self.last,), name, attributes))
        self.last = result
        return result

    def conv_norm(
        self, conv: str, norm: str, kernel: int, stride: int = 1, groups: int = 1, relu=True
    ):
        self.add("conv", conv, kernel=kernel, stride=stride, groups=groups, bias=False)
        self.add("norm", norm)
        return self.add("relu") if relu else self.last


def mobilenet_v1(channels: int = 8) -> list[Operation]:
    """MobileNet v1 with `channels` in its first layer."""
    network = _List()
    network.conv_norm("conv_stem", "bn1", 3, 2)
    for stage, (blocks, width) in enumerate(((1, 2), (2, 4), (2, 8), (6, 16), (2, 32))):
        for block in range(blocks):
            inputs = channels * (width // 2 if block == 0 else width)
            path, stride = f"blocks.{stage}.{block}", 2 if stage and block == 0 else 1
            network.conv_norm(f"{path}.conv_dw", f"{path}.bn1", 3, stride, groups=inputs)
            network.conv_norm(f"{path}.conv_pw", f"{path}.bn2", 1)
    network.add("mean")
    network.add("dense", "classifier")
    return network.operations


def squeezenet1_1() -> list[Operation]:
    network = _List()

    def conv(name, kernel, inputs=(), **attributes):
        network.add("conv", name, inputs, kernel=kernel, groups=1, bias=True, **attributes)
        return network.add("relu")

    conv("features.0", 3, stride=2, padding=0)
    network.add("pool")
    for index in (3, 4, 6, 7, 9, 10, 11, 12):
        if index in (6, 9):
            network.add("pool")
        squeezed = conv(f"features.{index}.squeeze", 1, stride=1)
        small = conv(f"features.{index}.expand1x1", 1, (squeezed,), stride=1)
        large = conv(f"features.{index}.expand3x3", 3, (squeezed,), stride=1)
        network.add("concat", inputs=(small, large))
    conv("classifier.1", 1, stride=1)
    network.add("mean")
    return network.operations


def resnet18() -> list[Operation]:
    network = _List()
    network.conv_norm("conv1", "bn1", 7, 2)
    before = network.add("pool", padding=1)
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            path, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            network.conv_norm(f"{path}.conv1", f"{path}.bn1", 3, stride)
            main = network.conv_norm(f"{path}.conv2", f"{path}.bn2", 3, relu=False)
            shortcut = before
            if stride == 2:
                network.last = before
                shortcut = network.conv_norm(
                    f"{path}.downsample.0", f"{path}.downsample.1", 1, 2, relu=False
                )
            # The shortcut first, as Keras has it.
            network.add("add", inputs=(shortcut, main))
            before = network.add("relu")
    network.add("mean")
    network.add("dense", "fc")
    return network.operations


def folded(tensors: dict[str, np.ndarray], conv: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns a convolution's kernel and bias with the batch norm after it folded in."""
    factor = tensors[f"{norm}.weight"] / np.sqrt(
        tensors[f"{norm}.running_var"] + np.float32(EPSILON)
    )
    kernel = tensors[f"{conv}.weight"] * factor[:, None, None, None]
    return kernel, tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * factor


def norm_after(operations: list[Operation]) -> dict[str, str]:
    """Returns the name of the batch norm after each convolution that has one."""
    pairs = itertools.pairwise(operations)
    return {first[3]: second[3] for first, second in pairs if second[0] == "norm"}


def write_onnx(
    path: Path, operations: list[Operation], tensors: dict[str, np.ndarray], *,
    same: bool = False, fold: bool = False, external: bool = False,
) -> None:  # fmt: skip
    """Writes an ONNX model with initializers that are called by numbers, as exporters may."""
    nodes, initializers = [], []
    after = norm_after(operations) if fold else {}

    def constant(value: np.ndarray) -> str:
        name = f"onnx::{len(initializers)}"
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    kinds = {"relu": "Relu", "concat": "Concat", "add": "Add", "mean": "GlobalAveragePool"}
    for kind, result, inputs, name, attributes in operations:
        read, more = list(inputs), {}
        match kind:
            case "conv":
                half = attributes.get("padding", attributes["kernel"] // 2)
                more = {"strides": [attributes["stride"]] * 2, "group": attributes["groups"]}
                more |= {"auto_pad": "SAME_UPPER"} if same else {"pads": [half] * 4}
                if name in after:
                    read += map(constant, folded(tensors, name, after[name]))
                else:
                    parts = ("weight", "bias") if attributes["bias"] else ("weight",)
                    read += [constant(tensors[f"{name}.{part}"]) for part in parts]
                operator = "Conv"
            case "norm":
                operator = "Identity" if fold else "BatchNormalization"
                if not fold:
                    parts = ("weight", "bias", "running_mean", "running_var")
                    read += [constant(tensors[f"{name}.{part}"]) for part in parts]
                    more = {"epsilon": EPSILON}
            case "dense":
                nodes.append(helper.make_node("Flatten", read, [f"{result}_flat"]))
                read = [
                    f"{result}_flat",
                    constant(tensors[f"{name}.weight"]),
                    constant(tensors[f"{name}.bias"]),
                ]
                operator, more = "Gemm", {"transB": 1}
            case "pool":
                operator, more = "MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2]}
                more |= {"pads": [attributes.get("padding", 0)] * 4}
            case _:
                operator, more = kinds[kind], {"axis": 1} if kind == "concat" else {}
        nodes.append(helper.make_node(operator, read, [result], **more))
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in ("image", operations[-1][1])
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:], initializers))
    onnx.save_model(
        model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0
    )


def quantized(values: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (int8 values, scales, the values that they stand for), with one scale, or one along an axis."""
    over = None if axis is None else tuple(each for each in range(values.ndim) if each != axis)
    scale = (np.abs(values).max(axis=over, keepdims=True) / 127).astype(np.float32)
    whole = np.round(values / scale).astype(np.int8)
    return whole, scale.ravel(), (whole * scale.astype(np.float64)).astype(np.float32)


def write_tflite(
    path: Path,
    operations: list[Operation],
    tensors: dict[str, np.ndarray],
    *,
    kind: str = "float32",
) -> dict[str, np.ndarray]:
    """Writes a TensorFlow Lite model, batch norms folded; returns the kernels that it stands for by name.

    Args:
      kind: "float32"; "float16", with operations that make them float32; "int8", with one scale for each output; or
        "uint8", with one scale and a zero point.
    """
    builder = flatbuffers.Builder(1 << 16)
    buffers, listed, run = [np.zeros(0, np.uint8)], [], []
    codes = (3, 4, 9, 17, 19, 2, 0, 40, 6, 117)  # what operators are called by the schema
    stood_for: dict[str, np.ndarray] = {}
    after = norm_after(operations)

    def vector(values: np.ndarray) -> int:
        return builder.CreateNumpyVector(np.ascontiguousarray(values))

    def tensor(values=None, name="", scale=None, zero_point=None, axis=0) -> int:
        index = 0
        if values is not None:
            buffers.append(np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8))
            index = len(buffers) - 1
        listed.append((name, values, index, scale, zero_point, axis))
        return len(listed) - 1

    def weight(values: np.ndarray, name: str, axis: int) -> int:
        match kind:
            case "float16":
                half = values.astype(np.float16)
                stood_for[name] = half.astype(np.float32)
                index, wide = tensor(half, name), tensor(None, f"{name}/wide")
                run.append((6, [index], [wide], None))
                return wide
            case "int8":
                whole, scale, stood_for[name] = quantized(values, axis)
                return tensor(whole, name, scale, np.zeros(scale.size, np.int64), axis)
            case "uint8":
                whole, scale, stood_for[name] = quantized(values, None)
                return tensor(
                    (whole.astype(int) + 128).astype(np.uint8), name, scale, np.array([128])
                )
        stood_for[name] = values
        return tensor(values, name)

    def bias(values: np.ndarray, name: str) -> int:
        if kind in ("float32", "float16"):
            return tensor(values, name)
        whole, scale = np.round(values * 2.0**20).astype(np.int32), np.array([2.0**-20], np.float32)
        return tensor(whole, name, scale, np.zeros(1, np.int64))

    results = {"image": tensor(None, "image")}
    for each, result, inputs, name, attributes in operations:
        read = [results[value] for value in inputs]
        if each == "norm":
            results[result] = read[0]
            continue
        operator, options = (
            {"relu": 19, "concat": 2, "add": 0, "mean": 40, "pool": 17}.get(each, 9),
            None,
        )
        if each == "conv":
            if name in after:
                kernel, shift = folded(tensors, name, after[name])
            else:
                kernel, shift = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
            depthwise = attributes["groups"] > 1
            operator = 4 if depthwise else 3
            kernel = kernel.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
            read += [weight(kernel, name, 3 if depthwise else 0), bias(shift, f"{name}/bias")]
            options = (attributes["stride"], attributes.get("padding") == 0)
        elif each == "dense":
            read += [
                weight(tensors[f"{name}.weight"], name, 0),
                bias(tensors[f"{name}.bias"], f"{name}/bias"),
            ]
        elif each == "pool":
            options = (2, True)
        results[result] = tensor(None, result)
        run.append((operator, read, [results[result]], options))

    def table(name: str, **fields: Any) -> int:
        getattr(tflite, f"{name}Start")(builder)
        for field, value in fields.items():
            if value is not None:
                getattr(tflite, f"{name}Add{field}")(builder, value)
        return getattr(tflite, f"{name}End")(builder)

    def tables(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    types = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9}
    made = []
    for name, values, index, scale, zero_point, axis in listed:
        quantization = None
        if scale is not None:
            points = vector(zero_point.astype(np.int64))
            quantization = table(
                "QuantizationParameters",
                Scale=vector(scale),
                ZeroPoint=points,
                QuantizedDimension=axis,
            )
        shape = vector(np.array([1] if values is None else values.shape, np.int32))
        text = builder.CreateString(name)
        number = 0 if values is None else types[values.dtype.name]
        made.append(
            table(
                "Tensor",
                Shape=shape,
                Type=number,
                Buffer=index,
                Name=text,
                Quantization=quantization,
            )
        )
    operators = []
    for operator, read, written, options in run:
        more: dict[str, Any] = {}
        if options is not None:
            stride, valid = options
            name = {3: "Conv2DOptions", 4: "DepthwiseConv2DOptions", 17: "Pool2DOptions"}[operator]
            extra = {"FilterWidth": 3, "FilterHeight": 3} if operator == 17 else {}
            inside = table(name, Padding=int(valid), StrideW=stride, StrideH=stride, **extra)
            more = {"BuiltinOptionsType": {3: 1, 4: 2, 17: 5}[operator], "BuiltinOptions": inside}
        parts = {
            "Inputs": vector(np.array(read, np.int32)),
            "Outputs": vector(np.array(written, np.int32)),
        }
        operators.append(table("Operator", OpcodeIndex=codes.index(operator), **parts, **more))
    ends = [vector(np.array([results[value]], np.int32)) for value in ("image", operations[-1][1])]
    graph = table(
        "SubGraph",
        Tensors=tables(made),
        Inputs=ends[0],
        Outputs=ends[1],
        Operators=tables(operators),
    )
    numbers = [
        table("OperatorCode", DeprecatedBuiltinCode=code, BuiltinCode=code, Version=1)
        for code in codes
    ]
    stored = [table("Buffer", Data=vector(each) if each.size else None) for each in buffers]
    model = table(
        "Model",
        Version=3,
        OperatorCodes=tables(numbers),
        Subgraphs=tables([graph]),
        Buffers=tables(stored),
    )
    builder.Finish(model, b"TFL3")
    path.write_bytes(builder.Output())
    return stood_for


def write_tensorflowjs_graph(
    path: Path,
    operations: list[Operation],
    tensors: dict[str, np.ndarray],
    *,
    quantization: str = "",
) -> dict[str, np.ndarray]:
    """Writes a graph model with SAME padding in two shards; returns the kernels that it stands for, by name."""
    nodes, weights, content = [], [], []
    stood_for: dict[str, np.ndarray] = {}

    def constant(values: np.ndarray, name: str) -> str:
        entry: dict[str, Any] = {
            "name": f"c{len(weights)}",
            "shape": list(values.shape),
            "dtype": "float32",
        }
        stored = np.ascontiguousarray(values, np.float32)
        if quantization == "float16":
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            stored = stored.astype(np.float16)
            values = stored.astype(np.float32)
        elif quantization:
            dtype = np.dtype(quantization)
            low, high = float(values.min()), float(values.max())
            scale = (high - low) / np.iinfo(dtype).max or 1.0
            stored = np.round((values.astype(np.float64) - low) / scale).astype(dtype)
            entry["quantization"] = {"dtype": quantization, "min": low, "scale": scale}
            values = (stored.astype(np.float64) * scale + low).astype(np.float32)
        stood_for[name] = values
        weights.append(entry)
        content.append(stored.tobytes())
        nodes.append({"name": entry["name"], "op": "Const"})
        return entry["name"]

    kinds = {
        "relu": "Relu6",
        "concat": "ConcatV2",
        "add": "AddV2",
        "mean": "Mean",
        "pool": "MaxPool",
    }
    nodes.append({"name": "image", "op": "Placeholder"})
    for kind, result, inputs, name, attributes in operations:
        read, more = list(inputs), {}
        if kind == "conv":
            depthwise = attributes["groups"] > 1
            kernel = tensors[f"{name}.weight"].transpose(
                (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
            )
            read.append(constant(kernel, f"{name}.weight"))
            same = attributes.get("padding") != 0
            stride = str(attributes["stride"])
            more = {
                "strides": {"list": {"i": ["1", stride, stride, "1"]}},
                "padding": {"s": base64.b64encode(b"SAME" if same else b"VALID").decode()},
            }
            operator = "DepthwiseConv2dNative" if depthwise else "Conv2D"
        elif kind == "norm":
            parts = ("weight", "bias", "running_mean", "running_var")
            read += [constant(tensors[f"{name}.{part}"], f"{name}.{part}") for part in parts]
            operator, more = "FusedBatchNormV3", {"epsilon": {"f": EPSILON}}
        elif kind == "dense":
            read.append(constant(tensors[f"{name}.weight"].T, f"{name}.weight"))
            nodes.append({"name": f"{result}_product", "op": "MatMul", "input": read})
            read = [f"{result}_product", constant(tensors[f"{name}.bias"], f"{name}.bias")]
            operator = "BiasAdd"
        else:
            operator = kinds[kind]
            if kind == "pool":
                valid = base64.b64encode(b"VALID").decode()
                sides = {"list": {"i": ["1", "2", "2", "1"]}}
                more = {
                    "ksize": {"list": {"i": ["1", "3", "3", "1"]}},
                    "strides": sides,
                    "padding": {"s": valid},
                }
        nodes.append({"name": result, "op": operator, "input": read, "attr": more})
    whole = b"".join(content)
    middle = len(whole) // 2
    shards = [f"{path.stem}-shard{index}.bin" for index in (1, 2)]
    for shard, part in zip(shards, (whole[:middle], whole[middle:]), strict=True):
        (path.parent / shard).write_bytes(part)
    manifest = [{"paths": shards, "weights": weights}]
    path.write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": manifest}))
    return stood_for


def write_caffemodel(
    path: Path,
    operations: list[Operation],
    tensors: dict[str, np.ndarray],
    *,
    first_version: bool = False,
) -> None:
    """Writes Caffe's weights by protobuf's wire format, in today's layers or in those of the first version."""

    def number(field: int, value: int) -> bytes:
        return varint(field << 3) + varint(value)

    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out) + bytes([value])

    def inside(field: int, content: bytes | str) -> bytes:
        content = content.encode() if isinstance(content, str) else content
        return varint(field << 3 | 2) + varint(len(content)) + content

    def blob(values: np.ndarray) -> bytes:
        data = inside(5, np.ascontiguousarray(values, "<f4").tobytes())
        if first_version:
            sides = (1,) * (4 - values.ndim) + values.shape
            return data + b"".join(number(1 + index, side) for index, side in enumerate(sides))
        return data + inside(7, inside(1, b"".join(map(varint, values.shape))))

    numbers = {
        "Convolution": 4,
        "InnerProduct": 14,
        "ReLU": 18,
        "Concat": 3,
        "Eltwise": 25,
        "Pooling": 17,
    }

    def layer(
        kind: str, name: str, inputs: tuple[str, ...], result: str, blobs=(), parameter=(0, 0, b"")
    ) -> bytes:
        field, first_field, content = parameter
        if first_version:
            out = b"".join(inside(2, each) for each in inputs) + inside(3, result) + inside(4, name)
            out += number(5, numbers[kind]) + b"".join(inside(6, blob(each)) for each in blobs)
            return inside(2, out + (inside(first_field, content) if content else b""))
        out = inside(1, name) + inside(2, kind) + b"".join(inside(3, each) for each in inputs)
        out += inside(4, result) + b"".join(inside(7, blob(each)) for each in blobs)
        return inside(100, out + (inside(field, content) if content else b""))

    out = inside(1, "net") + inside(3, "image")
    kinds = {
        "relu": "ReLU",
        "concat": "Concat",
        "add": "Eltwise",
        "mean": "Pooling",
        "pool": "Pooling",
    }
    for kind, result, inputs, name, attributes in operations:
        match kind:
            case "conv":
                half = attributes.get("padding", attributes["kernel"] // 2)
                settings = (
                    (3, half),
                    (4, attributes["kernel"]),
                    (5, attributes["groups"]),
                    (6, attributes["stride"]),
                )
                content = b"".join(number(*each) for each in settings)
                parts = ("weight", "bias") if attributes["bias"] else ("weight",)
                blobs = [tensors[f"{name}.{part}"] for part in parts]
                out += layer("Convolution", name, inputs, result, blobs, (106, 10, content))
            case "norm":
                # Caffe's sums are the averages times a number that it stores beside them.
                times = np.float32(4)
                blobs = [
                    tensors[f"{name}.{part}"] * times for part in ("running_mean", "running_var")
                ]
                content = varint(3 << 3 | 5) + struct.pack("<f", EPSILON)
                out += layer(
                    "BatchNorm",
                    name,
                    inputs,
                    result,
                    [*blobs, np.array([times])],
                    (139, 0, content),
                )
                blobs = [tensors[f"{name}.{part}"] for part in ("weight", "bias")]
                out += layer("Scale", f"{name}/scale", (result,), result, blobs)  # in place
            case "dense":
                blobs = [tensors[f"{name}.{part}"] for part in ("weight", "bias")]
                out += layer("InnerProduct", name, inputs, result, blobs)
            case "relu":
                out += layer("ReLU", result, inputs, result)
            case _:
                content = b""
                if kind in ("pool", "mean"):
                    settings = (
                        (1, int(kind == "mean")),
                        (2, 3),
                        (3, 2),
                        (4, attributes.get("padding", 0)),
                    )
                    content = b"".join(number(*each) for each in settings)
                out += layer(kinds[kind], result, inputs, result, (), (121, 19, content))
    path.write_bytes(out)


# Keras's variables by PyTorch's, in Keras's order.
_KERAS_NORM = {
    "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def keras_layers(
    operations: list[Operation], names: dict[str, str], tensors: dict[str, np.ndarray]
) -> list[tuple[str, str, dict[str, np.ndarray]]]:
    """Returns (class, name, variables) of each layer of Keras's in Keras's layout.

    Args:
      operations: the network.
      names: Keras's name of each of the suite's layers.
      tensors: of the network.
    """
    layers = []
    for kind, _, _, name, attributes in operations:
        if kind == "conv":
            depthwise = attributes["groups"] > 1
            kernel = tensors[f"{name}.weight"].transpose(
                (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
            )
            variables = {"depthwise_kernel" if depthwise else "kernel": kernel}
            layers.append(("DepthwiseConv2D" if depthwise else "Conv2D", names[name], variables))
        elif kind == "norm":
            variables = {each: tensors[f"{name}.{part}"] for each, part in _KERAS_NORM.items()}
            layers.append(("BatchNormalization", names[name], variables))
        elif kind == "dense":
            # A convolution over one pixel, as MobileNet v1 has it in Keras.
            kernel = tensors[f"{name}.weight"].T[None, None]
            layers.append(
                ("Conv2D", names[name], {"kernel": kernel, "bias": tensors[f"{name}.bias"]})
            )
    return layers


def mobilenet_v1_in_keras(operations: list[Operation]) -> dict[str, str]:
    """Returns Keras's names of MobileNet v1's layers."""
    names = {"conv_stem": "conv1", "bn1": "conv1_bn", "classifier": "conv_preds"}
    paths = dict.fromkeys(
        name.rpartition(".")[0] for _, _, _, name, _ in operations if name.startswith("blocks")
    )
    for index, path in enumerate(paths, start=1):
        for kind, norm in (("dw", "bn1"), ("pw", "bn2")):
            names[f"{path}.conv_{kind}"] = f"conv_{kind}_{index}"
            names[f"{path}.{norm}"] = f"conv_{kind}_{index}_bn"
    return names


def write_keras_2(path: Path, layers: list, *, suffix: str = ":0", inside: bool = True) -> None:
    """Writes layers as Keras 2 does: with attributes that list layers and weights."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if inside else file
        root.attrs["layer_names"] = [name.encode() for _, name, _ in layers]
        for _, name, variables in layers:
            group = root.create_group(name)
            listed = [f"{name}/{variable}{suffix}" for variable in variables]
            group.attrs["weight_names"] = [each.encode() for each in listed]
            for each, values in zip(listed, variables.values(), strict=True):
                group[each] = values


def write_keras_3(file: Any, layers: list, *, named: bool) -> None:
    """Writes layers as Keras 3 does: in groups that are called by class and number, variables by number."""
    snake = {
        "Conv2D": "conv2d",
        "DepthwiseConv2D": "depthwise_conv2d",
        "BatchNormalization": "batch_normalization",
    }
    counts: dict[str, int] = {}
    with h5py.File(file, "w") as written:
        written.create_group("optimizer/vars")["0"] = np.int64(7)
        for kind, name, variables in layers:
            count = counts.get(kind, 0)
            counts[kind] = count + 1
            group = written.create_group(f"layers/{snake[kind]}{f'_{count}' if count else ''}/vars")
            if named:
                group.attrs["name"] = name
            for index, values in enumerate(variables.values()):
                group[str(index)] = values


@pytest.fixture(scope="session")
def networks():
    """The networks and writers of this file."""
    return sys.modules[__name__]
