"""MobileNet v2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, arXiv:1801.04381.

Table 2, as torchvision has it: a 3x3 convolution, seventeen inverted residuals (a 1x1 expansion, a depthwise 3x3, and a
1x1 projection without activation), a 1x1 convolution, global average pooling and one dense layer. The width multiplier
scales all layers, except the last convolution if it is below 1 (section 6.1); channels are rounded to multiples of 8.
The authors' own weights, TF-slim's, and those of Keras are `padding=tensorflow,epsilon=0.001`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.initializers import he_normal, he_normal_fan_out, normal
from models.layers import BatchNorm, Conv, Dropout, Layer, Linear, Mode, Sequential, Stage, relu6
from models.model_info import Paper, Reported
from models.padding import TENSORFLOW, TORCH, check_padding, keeping_size
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


# Top-1 and top-5 in percent of TF-slim's checkpoints, by width and image size (research/slim/nets/mobilenet/README.md).
_SLIM = {
    "1.4": {224: (75.0, 92.5)},
    "1.3": {224: (74.4, 92.1)},
    "1.0": {224: (71.8, 91.0), 192: (70.7, 90.1), 160: (68.8, 89.0), 128: (65.3, 86.9), 96: (60.3, 83.2)},
    "0.75": {224: (69.8, 89.6), 192: (68.7, 88.9), 160: (66.4, 87.3), 128: (63.2, 85.3), 96: (58.8, 81.6)},
    "0.5": {224: (65.4, 86.4), 192: (63.9, 85.4), 160: (61.0, 83.2), 128: (57.7, 80.8), 96: (51.2, 75.8)},
    "0.35": {224: (60.3, 82.9), 192: (58.2, 81.2), 160: (55.7, 79.1), 128: (50.8, 75.0), 96: (45.5, 70.4)},
}  # fmt: skip
_TORCH: dict[str, Any] = {"padding": TORCH, "epsilon": 1e-5}
_TENSORFLOW: dict[str, Any] = {"padding": TENSORFLOW, "epsilon": 1e-3}


def _also_reported() -> Iterator[Reported]:
    yield Reported(0.72154, 0.90822, "torchvision IMAGENET1K_V2", resize_size=232)
    for width, by_size in _SLIM.items():
        for size, (top1, top5) in by_size.items():
            yield Reported(
                round(top1 / 100, 3),
                round(top5 / 100, 3),
                f"TF-slim mobilenet_v2_{width}_{size}",
                image_size=size,
                options=_TENSORFLOW | {"width": float(width)},
            )
    yield Reported(0.713, 0.901, "Keras Applications", options=_TENSORFLOW)


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    padding: str,
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
        padding=keeping_size(kernel, padding),
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
    padding: str,
    epsilon: float,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
) -> Sequential:
    convolution = _conv(inputs, outputs, kernel, stride, padding=padding, dtype=dtype, rngs=rngs)
    norm = BatchNorm(outputs, epsilon=epsilon, dtype=dtype, rngs=rngs)
    return Sequential(convolution, norm, relu6)


class InvertedResidual(Layer):
    """Expansion, depthwise convolution and linear projection (figure 3b); the input is added where shapes agree."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: int,
        *,
        padding: str,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        make: dict[str, Any] = {
            "padding": padding,
            "epsilon": epsilon,
            "dtype": dtype,
            "rngs": rngs,
        }
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        layers = [_conv_norm_relu(inputs, hidden, 1, **make)] if expansion > 1 else []
        self.conv = Sequential(
            *layers,
            _conv_norm_relu(hidden, hidden, 3, stride, **make),
            _conv(hidden, outputs, 1, padding=padding, dtype=dtype, rngs=rngs),
            BatchNorm(outputs, epsilon=epsilon, dtype=dtype, rngs=rngs),
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
        padding: str,
        epsilon: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        check_width(width)
        check_padding(padding)
        make: dict[str, Any] = {
            "padding": padding,
            "epsilon": epsilon,
            "dtype": dtype,
            "rngs": rngs,
        }
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
            Dropout(dropout),
            Linear(last, num_classes, kernel_init=normal(0.01), dtype=dtype, rngs=rngs),
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
    also_reported=tuple(_also_reported()),
    conventions={
        "torchvision": _TORCH,
        "timm": _TORCH,
        "tf-slim": _TENSORFLOW,
        "keras": _TENSORFLOW,
    },
)
def mobilenet_v2(
    num_classes: int,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    width: float = 1.0,
    dropout: float = 0.2,
    padding: str = TORCH,
    epsilon: float = 1e-5,
) -> MobileNetV2:
    """Returns MobileNet v2 thinned, or widened, to `width`."""
    return MobileNetV2(
        width,
        num_classes,
        dropout=dropout,
        padding=padding,
        epsilon=epsilon,
        dtype=dtype,
        rngs=rngs,
    )
