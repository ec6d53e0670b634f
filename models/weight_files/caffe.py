"""Caffe's weights (`.caffemodel`), read by protobuf with the few messages of caffe.proto that a network is made of.

Kernels have PyTorch's layout. Batch norm is two layers, `BatchNorm` and `Scale`. Pictures are read as blue, green, red,
of 0..255, less their mean.
"""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np

from isobudget.wording import shorten
from models.weight_files.source import (
    Node,
    Source,
    WeightFileError,
    convention,
    need,
    options_of,
)

# ImageNet's means of blue, green and red, which Caffe's networks subtract.
_MEANS = (104.0, 117.0, 123.0)
# Of caffe.proto: fields by message, each (name, number, type, repeated).
_MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "BlobShape": (("dim", 1, "int64", True),),
    "BlobProto": (
        ("num", 1, "int32", False), ("channels", 2, "int32", False), ("height", 3, "int32", False),
        ("width", 4, "int32", False), ("data", 5, "float", True), ("shape", 7, "BlobShape", False),
        ("double_data", 8, "double", True),
    ),
    "ConvolutionParameter": (
        ("num_output", 1, "uint32", False), ("bias_term", 2, "bool", False), ("pad", 3, "uint32", True),
        ("kernel_size", 4, "uint32", True), ("group", 5, "uint32", False), ("stride", 6, "uint32", True),
        ("pad_h", 9, "uint32", False), ("pad_w", 10, "uint32", False), ("kernel_h", 11, "uint32", False),
        ("kernel_w", 12, "uint32", False), ("stride_h", 13, "uint32", False), ("stride_w", 14, "uint32", False),
        ("dilation", 18, "uint32", True),
    ),
    "BatchNormParameter": (("eps", 3, "float", False),),
    "PoolingParameter": (
        ("pool", 1, "int32", False), ("kernel_size", 2, "uint32", False), ("stride", 3, "uint32", False),
        ("pad", 4, "uint32", False),
    ),
    "EltwiseParameter": (("operation", 1, "int32", False), ("coeff", 2, "float", True)),
    "LayerParameter": (
        ("name", 1, "string", False), ("type", 2, "string", False), ("bottom", 3, "string", True),
        ("top", 4, "string", True), ("blobs", 7, "BlobProto", True),
        ("convolution_param", 106, "ConvolutionParameter", False), ("eltwise_param", 110, "EltwiseParameter", False),
        ("pooling_param", 121, "PoolingParameter", False),
        ("batch_norm_param", 139, "BatchNormParameter", False),
    ),
    "V1LayerParameter": (
        ("bottom", 2, "string", True), ("top", 3, "string", True), ("name", 4, "string", False),
        ("type", 5, "int32", False), ("blobs", 6, "BlobProto", True),
        ("convolution_param", 10, "ConvolutionParameter", False),
        ("pooling_param", 19, "PoolingParameter", False), ("eltwise_param", 24, "EltwiseParameter", False),
    ),
    "NetParameter": (
        ("name", 1, "string", False), ("layers", 2, "V1LayerParameter", True), ("input", 3, "string", True),
        ("layer", 100, "LayerParameter", True),
    ),
}  # fmt: skip
# Layers of earlier files have numbers for types.
_V1_TYPES = {
    1: "Accuracy", 3: "Concat", 4: "Convolution", 14: "InnerProduct", 17: "Pooling", 21: "SoftmaxWithLoss",
    25: "Eltwise",
}  # fmt: skip
_LOSSES = ("Accuracy", "SoftmaxWithLoss")


def read(path: Path) -> Source:
    """Returns the tensors and the graph of Caffe's network.

    Raises:
      WeightFileError: it is damaged, or has layers that no model here has.
      OSError: it cannot be read.
    """
    message = _network_message()
    content = path.read_bytes()
    try:
        network = message()
        network.ParseFromString(content)
        reader = _Reader(network)
        outputs = reader.outputs()
    except (WeightFileError, OSError):
        raise
    except Exception as error:
        # Damaged bytes may mean anything to protobuf.
        raise WeightFileError(
            "it is damaged, or no .caffemodel; download or copy it again"
        ) from error
    preprocessing = {
        "channel_order": "bgr",
        "mean": tuple(round(each / 255, 6) for each in _MEANS),
        "std": (round(1 / 255, 8),) * 3,
    }
    return Source(
        "Caffe",
        {"": reader.tensors},
        outputs=outputs,
        options=options_of(outputs),
        preprocessing=preprocessing,
    )


@functools.cache
def _network_message() -> Any:
    """Returns the class of caffe.proto's NetParameter, with the fields that are listed above."""
    descriptors = need("google.protobuf.descriptor_pb2")
    pools = need("google.protobuf.descriptor_pool")
    factory = need("google.protobuf.message_factory")
    file = descriptors.FileDescriptorProto(
        name="caffe_weights.proto", package="caffe", syntax="proto2"
    )
    field_type = descriptors.FieldDescriptorProto
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, is_repeated in fields:
            entry = message.field.add(name=field, number=number)
            entry.label = field_type.LABEL_REPEATED if is_repeated else field_type.LABEL_OPTIONAL
            if kind in _MESSAGES:
                entry.type, entry.type_name = field_type.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                entry.type = getattr(field_type, f"TYPE_{kind.upper()}")
            # Numbers are packed where Caffe has them so; a reader takes both.
            if kind in ("float", "double", "int64") and is_repeated:
                entry.options.packed = True
    pool = pools.DescriptorPool()
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


class _Reader:
    """A network's layers, in the order in which it runs them.

    Attributes:
      tensors: their values as `layer/number`.
    """

    def __init__(self, network: Any):
        self._layers = network.layer or network.layers
        self.tensors: dict[str, np.ndarray] = {}
        self._values: dict[str, Node] = {name: Node("input") for name in network.input}

    def outputs(self) -> list[Node]:
        """Returns the layers whose results are read by losses, or by none."""
        if not self._layers:
            raise WeightFileError("it has no layers, so it is no .caffemodel")
        read: set[Node] = set()
        made: dict[Node, None] = {}
        for layer in self._layers:
            kind = layer.type if isinstance(layer.type, str) else _V1_TYPES.get(layer.type, "")
            if kind in _LOSSES:
                continue
            inputs = tuple(self._values.setdefault(name, Node("input")) for name in layer.bottom)
            if not inputs:
                # Data: a picture, and often a label.
                self._values |= {name: Node("input") for name in layer.top}
                continue
            node = self._run(kind, layer, inputs)
            read.update(inputs)
            made[node] = None
            self._values |= dict.fromkeys(layer.top, node)
        return [node for node in made if node not in read]

    def _run(self, kind: str, layer: Any, inputs: tuple[Node, ...]) -> Node:
        blobs = [self._blob(layer, index) for index in range(len(layer.blobs))]
        names = ("weight", "bias")
        match kind:
            case "Convolution" | "DepthwiseConvolution":
                return self._convolution(layer, inputs, blobs)
            case "InnerProduct":
                weight = blobs[0].reshape(blobs[0].shape[-2:])
                tensors = {"weight": weight} | dict(
                    zip(names[1:], map(np.ravel, blobs[1:]), strict=False)
                )
                return Node("dense", inputs, tensors, layer.name)
            case "BatchNorm":
                mean, var, count = (np.ravel(blob) for blob in blobs[:3])
                factor = np.float32(1 / count[0] if count[0] else 0)
                epsilon = (
                    layer.batch_norm_param.eps if layer.batch_norm_param.HasField("eps") else 1e-5
                )
                ones = np.ones_like(mean)
                tensors = {"weight": ones, "bias": 0 * ones}
                tensors |= {"running_mean": mean * factor, "running_var": var * factor}
                return Node("norm", inputs, tensors, layer.name, epsilon=epsilon)
            case "Scale":
                tensors = dict(zip(names, map(np.ravel, blobs), strict=False))
                return Node("affine", inputs, tensors, layer.name)
            case "Bias":
                return Node("affine", inputs, {"bias": np.ravel(blobs[0])}, layer.name)
            case "Eltwise":
                return Node("commutative", inputs)
            case "Pooling":
                return _pool(layer.pooling_param, inputs)
        if blobs:
            raise WeightFileError(
                f"its layer {shorten(layer.name, 60)} has weights, and no model here has such layers"
            )
        return Node("other", inputs)

    def _convolution(self, layer: Any, inputs: tuple[Node, ...], blobs: list[np.ndarray]) -> Node:
        known = layer.convolution_param
        if any(each != 1 for each in known.dilation):
            raise WeightFileError("it has dilated convolutions, as no model here")
        strides = _pair(known, "stride", 1)
        height, width = _pair(known, "pad", 0)
        padding = ((height, height), (width, width))
        if not blobs or blobs[0].ndim != 4:
            raise WeightFileError(f"its convolution {shorten(layer.name, 60)} has no 2-D kernel")
        tensors = {"weight": blobs[0]}
        if len(blobs) > 1:
            tensors["bias"] = np.ravel(blobs[1])
        return Node(
            "convolution",
            inputs,
            tensors,
            layer.name,
            strides=strides,
            padding=padding,
            groups=known.group or 1,
            convention=convention(blobs[0].shape[2:], strides, padding),
        )

    def _blob(self, layer: Any, index: int) -> np.ndarray:
        blob, name = layer.blobs[index], f"{layer.name}/{index}"
        values = np.fromiter(blob.data or blob.double_data, np.float32)
        legacy = (blob.num, blob.channels, blob.height, blob.width)
        shape = tuple(blob.shape.dim) if blob.HasField("shape") else legacy
        if any(size < 0 for size in shape) or math.prod(shape) != values.size:
            raise WeightFileError(
                f"tensor {shorten(name, 60)} has {values.size:,} values, not as many as its shape says"
            )
        self.tensors[name] = values.reshape(shape)
        return self.tensors[name]


def _pool(known: Any, inputs: tuple[Node, ...]) -> Node:
    """Returns a pool; the last window reaches outside the picture where it must."""
    if known.pool != 0 or not known.kernel_size:
        return Node("other", inputs)
    padding = ((known.pad, known.pad), (known.pad, known.pad))
    strides = (known.stride or 1,) * 2
    return Node("maximum", inputs, strides=strides, padding=padding)


def _pair(known: Any, name: str, default: int) -> tuple[int, int]:
    """Returns a convolution's (height, width) of a parameter that may be given for both sides or for each."""
    if known.HasField(f"{name}_h") or known.HasField(f"{name}_w"):
        return getattr(known, f"{name}_h") or default, getattr(known, f"{name}_w") or default
    listed = list(getattr(known, name)) or [default]
    return listed[0], listed[-1]
