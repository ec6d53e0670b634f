"""MobileNet v1: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
2017, arXiv:1704.04861.

Table 1: a 3x3 convolution, then thirteen depthwise separable ones (a depthwise 3x3 and a pointwise 1x1, each followed
by batch norm and ReLU), global average pooling and one dense layer. The width multiplier (section 3.3) thins all layers
alike; `depthwise=false` replaces each separable convolution by a standard 3x3 one (table 4). As in the authors' code
(TF-slim), the activation is ReLU6, a thinned layer has int(width * channels) channels, at least 8, convolutions are
padded as TensorFlow pads and batch norm's epsilon is 0.001. timm's `mobilenetv1_100`, which the attributes are named
after, is `padding=torch,epsilon=1e-05`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.initializers import he_normal_fan_out, normal
from models.layers import (
    BatchNorm,
    Conv,
    Dropout,
    Layer,
    Linear,
    Mode,
    Sequential,
    Stage,
    normalized,
    relu6,
)
from models.model_info import Paper, Reported
from models.padding import TENSORFLOW, TORCH, check_padding, keeping_size
from models.registry import register
from models.widths import check_width
from models.windows import global_average_pool

# Channels of each depthwise separable convolution. The first one of each stage has stride 2, except in the first stage.
_STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))
_MIN_CHANNELS = 8


# Top-1 of TF-slim's checkpoints at 224, 192, 160 and 128 pixels, by width (research/slim/nets/mobilenet_v1.md).
_SIZES = (224, 192, 160, 128)
_SLIM = {
    "1.0": (0.709, 0.700, 0.680, 0.652),
    "0.75": (0.684, 0.672, 0.653, 0.621),
    "0.5": (0.633, 0.617, 0.591, 0.563),
    "0.25": (0.498, 0.477, 0.455, 0.415),
}
# Top-1 at 224 pixels, by width (table 6).
_PAPER = {1.0: 0.706, 0.75: 0.684, 0.5: 0.637, 0.25: 0.506}
_TIMM: dict[str, Any] = {"padding": TORCH, "epsilon": 1e-5}
_TENSORFLOW: dict[str, Any] = {"padding": TENSORFLOW, "epsilon": 1e-3}


def _also_reported() -> Iterator[Reported]:
    for width, shares in _SLIM.items():
        for size, top1 in zip(_SIZES, shares, strict=True):
            if (width, size) != ("1.0", 224):  # which is `reported`
                source, options = f"TF-slim MobileNet_v1_{width}_{size}", {"width": float(width)}
                yield Reported(top1, None, source, image_size=size, options=options)
    for each, top1 in _PAPER.items():
        yield Reported(top1, None, "the paper, table 6", options={"width": each})
    yield Reported(0.704, 0.895, "Keras Applications")
    weights = "timm mobilenetv1_100.ra4_e3600_r224_in1k"
    yield Reported(0.75382, 0.92312, weights, options=_TIMM)
    yield Reported(0.76094, 0.93004, weights, image_size=256, resize_size=256, options=_TIMM)


def _thinned(channels: int, width: float) -> int:
    return max(int(channels * width), _MIN_CHANNELS)


class SeparableConv(Layer):
    """A depthwise 3x3 and a pointwise 1x1 convolution (figure 3, right)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        padding: str,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        self.conv_dw = Conv(
            inputs,
            inputs,
            3,
            strides=stride,
            padding=keeping_size(3, padding),
            groups=inputs,
            use_bias=False,
            dtype=dtype,
            rngs=rngs,
        )
        self.bn1 = BatchNorm(inputs, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.conv_pw = Conv(
            inputs,
            outputs,
            1,
            use_bias=False,
            kernel_init=he_normal_fan_out,
            dtype=dtype,
            rngs=rngs,
        )
        self.bn2 = BatchNorm(outputs, epsilon=epsilon, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        x = normalized(self.conv_dw, self.bn1, x, mode, relu6)
        return normalized(self.conv_pw, self.bn2, x, mode, relu6)


class StandardConv(Layer):
    """The 3x3 convolution that a depthwise separable one replaces (figure 3, left)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        padding: str,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            inputs,
            outputs,
            3,
            strides=stride,
            padding=keeping_size(3, padding),
            use_bias=False,
            kernel_init=he_normal_fan_out,
            dtype=dtype,
            rngs=rngs,
        )
        self.bn1 = BatchNorm(outputs, epsilon=epsilon, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        return normalized(self.conv, self.bn1, x, mode, relu6)


class MobileNetV1(Classifier):
    """MobileNet v1 of any width; stages stem and blocks0 to blocks4, of strides 2, 2, 4, 8, 16 and 32."""

    head = "classifier"

    def __init__(
        self,
        width: float,
        num_classes: int,
        *,
        depthwise: bool,
        dropout: float,
        padding: str,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        check_width(width)
        check_padding(padding)
        block = SeparableConv if depthwise else StandardConv
        make: dict[str, Any] = {
            "padding": padding,
            "epsilon": epsilon,
            "dtype": dtype,
            "rngs": rngs,
        }
        inputs = _thinned(32, width)
        self.conv_stem = Conv(
            3,
            inputs,
            3,
            strides=2,
            padding=keeping_size(3, padding),
            use_bias=False,
            kernel_init=he_normal_fan_out,
            dtype=dtype,
            rngs=rngs,
        )
        self.bn1 = BatchNorm(inputs, epsilon=epsilon, dtype=dtype, rngs=rngs)
        stages = []
        for index, stage in enumerate(_STAGES):
            blocks = []
            for position, channels in enumerate(stage):
                outputs = _thinned(channels, width)
                stride = 2 if index > 0 and position == 0 else 1
                blocks.append(block(inputs, outputs, stride, **make))
                inputs = outputs
            stages.append(Sequential(*blocks))
        self.blocks = Sequential(*stages)
        self.dropout = Dropout(dropout)
        self.classifier = Linear(
            inputs, num_classes, kernel_init=normal(0.01), dtype=dtype, rngs=rngs
        )

    def stages(self) -> Mapping[str, Stage]:
        names = [f"blocks{index}" for index in range(len(_STAGES))]
        return {"stem": self._stem} | self.blocks.parts(names, range(1, len(_STAGES) + 1))

    def _stem(self, x: jax.Array, mode: Mode) -> jax.Array:
        return normalized(self.conv_stem, self.bn1, x, mode, relu6)

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.classifier(self.dropout(global_average_pool(features), mode))


@register(
    "mobilenet_v1",
    family="mobilenet_v1",
    paper=Paper(
        "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        "1704.04861",
        2017,
    ),
    min_size=32,
    resize_size=256,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    reported=Reported(0.709, 0.899, "TF-slim MobileNet_v1_1.0_224"),
    also_reported=tuple(_also_reported()),
    conventions={"tf-slim": _TENSORFLOW, "keras": _TENSORFLOW, "timm": _TIMM},
)
def mobilenet_v1(
    num_classes: int,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    width: float = 1.0,
    depthwise: bool = True,
    dropout: float = 0.001,
    padding: str = TENSORFLOW,
    epsilon: float = 1e-3,
) -> MobileNetV1:
    """Returns MobileNet v1 thinned to `width`; with `depthwise=false`, of standard convolutions."""
    return MobileNetV1(
        width,
        num_classes,
        depthwise=depthwise,
        dropout=dropout,
        padding=padding,
        epsilon=epsilon,
        dtype=dtype,
        rngs=rngs,
    )
