"""MobileNet v2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, arXiv:1801.04381.

Table 2, as torchvision has it: a 3x3 convolution, seventeen inverted residuals (a 1x1 expansion, a depthwise 3x3, and a
1x1 projection without activation), a 1x1 convolution, global average pooling and one dense layer. The width multiplier
scales all layers, except the last convolution if it is below 1 (section 6.1); channels are rounded to multiples of 8.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.initializers import he_normal, he_normal_fan_out, normal
from models.layers import BatchNorm, Conv, Dropout, Layer, Linear, Mode, Sequential, Stage, relu6
from models.model_info import Paper, Reported
from models.registry import register
from models.widths import check_width, make_divisible
from models.windows import global_average_pool

# Expansion factor, output channels, repetitions and first stride of each row of table 2.
_ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
) -> Conv:
    """Returns a convolution without bias, depthwise if it is 3x3 and keeps the number of channels."""
    depthwise = kernel > 1 and inputs == outputs
    return Conv(
        inputs,
        outputs,
        kernel,
        strides=stride,
        padding=kernel // 2,
        groups=inputs if depthwise else 1,
        use_bias=False,
        kernel_init=he_normal if depthwise else he_normal_fan_out,
        dtype=dtype,
        rngs=rngs,
    )


def _conv_norm_relu(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
) -> Sequential:
    convolution = _conv(inputs, outputs, kernel, stride, dtype=dtype, rngs=rngs)
    return Sequential(convolution, BatchNorm(outputs, dtype=dtype, rngs=rngs), relu6)


class InvertedResidual(Layer):
    """Expansion, depthwise convolution and linear projection (figure 3b); the input is added where shapes agree."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: int,
        *,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        layers = [_conv_norm_relu(inputs, hidden, 1, **make)] if expansion > 1 else []
        self.conv = Sequential(
            *layers,
            _conv_norm_relu(hidden, hidden, 3, stride, **make),
            _conv(hidden, outputs, 1, **make),
            BatchNorm(outputs, **make),
        )

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        out = self.conv(x, mode)
        return x + out if self.residual else out


class MobileNetV2(Classifier):
    """MobileNet v2 of any width; stages stem, bottleneck1 to bottleneck7 (the rows of table 2) and last."""

    head = "classifier.1"

    def __init__(
        self,
        width: float,
        num_classes: int,
        *,
        dropout: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        check_width(width)
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        inputs = make_divisible(32 * width)
        layers: list[Layer] = [_conv_norm_relu(3, inputs, 3, 2, **make)]
        ends = [1]
        for expansion, channels, repeats, stride in _ROWS:
            outputs = make_divisible(channels * width)
            for position in range(repeats):
                layers.append(
                    InvertedResidual(
                        inputs, outputs, stride if position == 0 else 1, expansion, **make
                    )
                )
                inputs = outputs
            ends.append(len(layers))
        last = make_divisible(1280 * max(1.0, width))
        layers.append(_conv_norm_relu(inputs, last, 1, **make))
        self.features = Sequential(*layers)
        self.stage_ends = (*ends, len(layers))
        self.classifier = Sequential(
            Dropout(dropout), Linear(last, num_classes, kernel_init=normal(0.01), **make)
        )

    def stages(self) -> Mapping[str, Stage]:
        names = ["stem", *(f"bottleneck{index + 1}" for index in range(len(_ROWS))), "last"]
        return self.features.parts(names, self.stage_ends)

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.classifier(global_average_pool(features), mode)


@register(
    "mobilenet_v2",
    family="mobilenet_v2",
    paper=Paper("MobileNetV2: Inverted Residuals and Linear Bottlenecks", "1801.04381", 2018),
    min_size=32,
    reported=Reported(0.71878, 0.90286, "torchvision IMAGENET1K_V1"),
    also_reported=(Reported(0.72154, 0.90822, "torchvision IMAGENET1K_V2", resize_size=232),),
)
def mobilenet_v2(
    num_classes: int,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    width: float = 1.0,
    dropout: float = 0.2,
) -> MobileNetV2:
    """Returns MobileNet v2 thinned, or widened, to `width`."""
    return MobileNetV2(width, num_classes, dropout=dropout, dtype=dtype, rngs=rngs)
