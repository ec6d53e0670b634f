"""ResNet: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385.

Table 1: a 7x7 convolution of stride 2 and 3x3 pooling, four stages of residual blocks (basic for 18 and 34 layers,
bottleneck from 50), global average pooling and one dense layer; projections where shapes change (option B).

`resnet50` and deeper have a bottleneck's stride on its 3x3 convolution ("v1.5", torchvision's), `resnet50_v1` and
deeper on its first 1x1, as in the paper. `plain18` and `plain34` are the networks without shortcuts (figure 4, left).
Keras's ResNets are `_v1` with `epsilon=1.001e-05`; they pad as PyTorch's do, explicitly.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.initializers import he_normal_fan_out, uniform
from models.layers import BatchNorm, Conv, Layer, Linear, Mode, Sequential, Stage, normalized, relu
from models.model_info import Paper, Reported
from models.registry import register
from models.windows import MaxPool, global_average_pool

_PAPER = Paper("Deep Residual Learning for Image Recognition", "1512.03385", 2015)
_CHANNELS = (64, 128, 256, 512)


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
) -> Conv:
    return Conv(
        inputs,
        outputs,
        kernel,
        strides=stride,
        padding=kernel // 2,
        use_bias=False,
        kernel_init=he_normal_fan_out,
        dtype=dtype,
        rngs=rngs,
    )


def _projection(
    inputs: int,
    outputs: int,
    stride: int,
    *,
    epsilon: float,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
) -> Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return Sequential(
        _conv(inputs, outputs, 1, stride, dtype=dtype, rngs=rngs),
        BatchNorm(outputs, epsilon=epsilon, dtype=dtype, rngs=rngs),
    )


class BasicBlock(Layer):
    """Two 3x3 convolutions, to whose output the input is added (figure 5, left)."""

    expansion = 1
    shortcut = True

    def __init__(
        self,
        inputs: int,
        channels: int,
        stride: int,
        *,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        norm = make | {"epsilon": epsilon}
        self.conv1 = _conv(inputs, channels, 3, stride, **make)
        self.bn1 = BatchNorm(channels, **norm)
        self.conv2 = _conv(channels, channels, 3, **make)
        self.bn2 = BatchNorm(channels, **norm)
        self.downsample = _projection(inputs, channels, stride, **norm) if self.shortcut else None

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        out = normalized(self.conv1, self.bn1, x, mode, relu)
        out = normalized(self.conv2, self.bn2, out, mode)
        return relu(_add_shortcut(self, out, x, mode) if self.shortcut else out)


class PlainBlock(BasicBlock):
    """Two 3x3 convolutions without a shortcut (section 4.1, "plain networks")."""

    shortcut = False


class Bottleneck(Layer):
    """1x1, 3x3 and 1x1 convolutions, to whose output the input is added (figure 5, right); the 3x3 has the stride."""

    expansion = 4
    strided = 2

    def __init__(
        self,
        inputs: int,
        channels: int,
        stride: int,
        *,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        norm = make | {"epsilon": epsilon}
        outputs = channels * self.expansion
        strides = {self.strided: stride}
        self.conv1 = _conv(inputs, channels, 1, strides.get(1, 1), **make)
        self.bn1 = BatchNorm(channels, **norm)
        self.conv2 = _conv(channels, channels, 3, strides.get(2, 1), **make)
        self.bn2 = BatchNorm(channels, **norm)
        self.conv3 = _conv(channels, outputs, 1, **make)
        self.bn3 = BatchNorm(outputs, **norm)
        self.downsample = _projection(inputs, outputs, stride, **norm)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        out = normalized(self.conv1, self.bn1, x, mode, relu)
        out = normalized(self.conv2, self.bn2, out, mode, relu)
        out = normalized(self.conv3, self.bn3, out, mode)
        return relu(_add_shortcut(self, out, x, mode))


class BottleneckV1(Bottleneck):
    """The paper's bottleneck, whose first 1x1 convolution has the stride."""

    strided = 1


def _add_shortcut(
    block: BasicBlock | Bottleneck, out: jax.Array, x: jax.Array, mode: Mode
) -> jax.Array:
    return out + (x if block.downsample is None else block.downsample(x, mode))


class ResNet(Classifier):
    """A residual network; stages stem and layer1 to layer4, of strides 4, 4, 8, 16 and 32."""

    head = "fc"

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: tuple[int, int, int, int],
        num_classes: int,
        *,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        self.conv1 = _conv(3, 64, 7, 2, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm(64, epsilon=epsilon, dtype=dtype, rngs=rngs)
        # Padded by one pixel on each side, not SAME: at even sizes SAME would pad one side only.
        self.maxpool = MaxPool(3, 2, padding=1)
        inputs = 64
        for index, (channels, depth) in enumerate(zip(_CHANNELS, depths, strict=True)):
            blocks = []
            for position in range(depth):
                stride = 2 if index > 0 and position == 0 else 1
                blocks.append(
                    block(inputs, channels, stride, epsilon=epsilon, dtype=dtype, rngs=rngs)
                )
                inputs = channels * block.expansion
            setattr(self, f"layer{index + 1}", Sequential(*blocks))
        limit = inputs**-0.5
        self.fc = Linear(
            inputs,
            num_classes,
            kernel_init=uniform(limit),
            bias_init=uniform(limit),
            dtype=dtype,
            rngs=rngs,
        )

    def stages(self) -> Mapping[str, Stage]:
        names = [f"layer{index + 1}" for index in range(len(_CHANNELS))]
        return {"stem": self._stem} | {name: getattr(self, name) for name in names}

    def _stem(self, x: jax.Array, mode: Mode) -> jax.Array:
        return self.maxpool(normalized(self.conv1, self.bn1, x, mode, relu))

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.fc(global_average_pool(features))


_CONVENTIONS: dict[str, dict[str, Any]] = {
    "torchvision": {"epsilon": 1e-5},
    "timm": {"epsilon": 1e-5},
}
# Keras's ResNet50, ResNet101 and ResNet152; torchvision and timm have none of this stride.
_V1_CONVENTIONS: dict[str, dict[str, Any]] = {"keras": {"epsilon": 1.001e-5}}
_CONVENTIONS_OF = {BottleneckV1: _V1_CONVENTIONS, PlainBlock: {}}


def _register(
    name: str,
    block: type[BasicBlock | Bottleneck],
    depths: tuple[int, int, int, int],
    *reported: Reported,
) -> None:
    def build(
        num_classes: int, dtype: DTypeLike | None, rngs: nnx.Rngs, epsilon: float = 1e-5
    ) -> ResNet:
        return ResNet(block, depths, num_classes, epsilon=epsilon, dtype=dtype, rngs=rngs)

    register(
        name,
        family="resnet",
        paper=_PAPER,
        min_size=32,
        reported=reported[0] if reported else None,
        also_reported=reported[1:],
        conventions=_CONVENTIONS_OF.get(block, _CONVENTIONS),
    )(build)


def _v1(top1: float, top5: float) -> Reported:
    return Reported(top1, top5, "torchvision IMAGENET1K_V1")


def _v2(top1: float, top5: float) -> Reported:
    return Reported(top1, top5, "torchvision IMAGENET1K_V2", resize_size=232)


def _keras(top1: float, top5: float) -> Reported:
    return Reported(top1, top5, "Keras Applications", options=_V1_CONVENTIONS["keras"])


_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # fmt: skip
_register("plain18", PlainBlock, _DEPTHS[18], Reported(0.7206, None, "the paper, table 2, ten crops"))  # fmt: skip
_register("plain34", PlainBlock, _DEPTHS[34], Reported(0.7146, 0.8998, "the paper, table 3, ten crops"))  # fmt: skip
_register("resnet18", BasicBlock, _DEPTHS[18], _v1(0.69758, 0.89078))
_register("resnet34", BasicBlock, _DEPTHS[34], _v1(0.73314, 0.91420))
_register("resnet50", Bottleneck, _DEPTHS[50], _v1(0.76130, 0.92862), _v2(0.80858, 0.95434))
_register("resnet101", Bottleneck, _DEPTHS[101], _v1(0.77374, 0.93546), _v2(0.81886, 0.95780))
_register("resnet152", Bottleneck, _DEPTHS[152], _v1(0.78312, 0.94046), _v2(0.82284, 0.96002))
_PAPER_CROPS = "the paper, table 3, ten crops"
_register(
    "resnet50_v1",
    BottleneckV1,
    _DEPTHS[50],
    Reported(0.7715, 0.9329, _PAPER_CROPS),
    _keras(0.749, 0.921),
)
_register(
    "resnet101_v1",
    BottleneckV1,
    _DEPTHS[101],
    Reported(0.7825, 0.9395, _PAPER_CROPS),
    _keras(0.764, 0.928),
)
_register(
    "resnet152_v1",
    BottleneckV1,
    _DEPTHS[152],
    Reported(0.7857, 0.9429, _PAPER_CROPS),
    _keras(0.766, 0.931),
)
