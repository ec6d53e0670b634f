"""MobileNet v3: Howard et al., "Searching for MobileNetV3", 2019, arXiv:1905.02244.

Tables 1 (large) and 2 (small), as torchvision has them: a 3x3 convolution, inverted residuals with ReLU or h-swish,
some with squeeze-and-excite (section 5.3: hard sigmoid, a quarter of the expanded channels), a 1x1 convolution, global
average pooling and two dense layers. The width multiplier scales all layers, the hidden dense one included; channels
are rounded to multiples of 8. Batch norm has momentum 0.99 and the authors' epsilon, 0.001 (1e-5 for timm's weights).
The authors' own weights, TF-slim's, and those of Keras are `padding=tensorflow`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.initializers import he_normal, he_normal_fan_out, normal
from models.layers import BatchNorm, Conv, Dropout, Layer, Linear, Mode, Sequential, Stage, relu
from models.model_info import Paper, Reported
from models.padding import TENSORFLOW, TORCH, check_padding, keeping_size
from models.registry import register
from models.widths import check_width, make_divisible
from models.windows import global_average_pool

_Activation = Callable[[jax.Array], jax.Array]
_RE, _HS = relu, jax.nn.hard_swish
# Kernel, expanded channels, output channels, squeeze-and-excite, activation and stride of each inverted residual.
_Row = tuple[int, int, int, bool, _Activation, int]
_LARGE: tuple[_Row, ...] = (
    (3, 16, 16, False, _RE, 1),
    (3, 64, 24, False, _RE, 2),
    (3, 72, 24, False, _RE, 1),
    (5, 72, 40, True, _RE, 2),
    (5, 120, 40, True, _RE, 1),
    (5, 120, 40, True, _RE, 1),
    (3, 240, 80, False, _HS, 2),
    (3, 200, 80, False, _HS, 1),
    (3, 184, 80, False, _HS, 1),
    (3, 184, 80, False, _HS, 1),
    (3, 480, 112, True, _HS, 1),
    (3, 672, 112, True, _HS, 1),
    (5, 672, 160, True, _HS, 2),
    (5, 960, 160, True, _HS, 1),
    (5, 960, 160, True, _HS, 1),
)
_SMALL: tuple[_Row, ...] = (
    (3, 16, 16, True, _RE, 2),
    (3, 72, 24, False, _RE, 2),
    (3, 88, 24, False, _RE, 1),
    (5, 96, 40, True, _HS, 2),
    (5, 240, 40, True, _HS, 1),
    (5, 240, 40, True, _HS, 1),
    (5, 120, 48, True, _HS, 1),
    (5, 144, 48, True, _HS, 1),
    (5, 288, 96, True, _HS, 2),
    (5, 576, 96, True, _HS, 1),
    (5, 576, 96, True, _HS, 1),
)


def _conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    activation: _Activation | None,
    *,
    stride: int = 1,
    depthwise: bool = False,
    padding: str,
    epsilon: float,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
) -> Sequential:
    layers = [
        Conv(
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
        ),
        BatchNorm(outputs, epsilon=epsilon, momentum=0.99, dtype=dtype, rngs=rngs),
    ]
    return Sequential(*layers, *([] if activation is None else [activation]))


class SqueezeExcite(Layer):
    """Scales each channel by a gate computed from all channels' averages (Hu et al. 2017, arXiv:1709.01507)."""

    def __init__(self, channels: int, *, dtype: DTypeLike | None, rngs: nnx.Rngs):
        squeezed = make_divisible(channels // 4)
        self.fc1 = Conv(channels, squeezed, 1, dtype=dtype, rngs=rngs)
        self.fc2 = Conv(squeezed, channels, 1, kernel_init=normal(0.01), dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        averages = global_average_pool(x)[:, None, None, :]
        return x * jax.nn.hard_sigmoid(self.fc2(relu(self.fc1(averages))))


class InvertedResidual(Layer):
    """Expansion, depthwise convolution, squeeze-and-excite and linear projection (figure 4)."""

    def __init__(
        self,
        inputs: int,
        kernel: int,
        expanded: int,
        outputs: int,
        squeezed: bool,
        activation: _Activation,
        stride: int,
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
        self.residual = stride == 1 and inputs == outputs
        layers: list[Layer] = []
        if expanded != inputs:
            layers.append(_conv_norm(inputs, expanded, 1, activation, **make))
        layers.append(
            _conv_norm(
                expanded, expanded, kernel, activation, stride=stride, depthwise=True, **make
            )
        )
        if squeezed:
            layers.append(SqueezeExcite(expanded, dtype=dtype, rngs=rngs))
        layers.append(_conv_norm(expanded, outputs, 1, None, **make))
        self.block = Sequential(*layers)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        out = self.block(x, mode)
        return x + out if self.residual else out


class MobileNetV3(Classifier):
    """MobileNet v3 of any width; stages stem, blocks1, ... (a new one begins at each stride of 2) and last."""

    head = "classifier.3"

    def __init__(
        self,
        rows: tuple[_Row, ...],
        hidden: int,
        width: float,
        num_classes: int,
        *,
        padding: str,
        epsilon: float,
        dropout: float,
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
        inputs = make_divisible(16 * width)
        layers: list[Layer] = [_conv_norm(3, inputs, 3, _HS, stride=2, **make)]
        ends = [1]
        for kernel, expanded, channels, squeezed, activation, stride in rows:
            expanded, outputs = make_divisible(expanded * width), make_divisible(channels * width)
            if stride > 1 and len(layers) > 1:
                ends.append(len(layers))
            layers.append(
                InvertedResidual(
                    inputs, kernel, expanded, outputs, squeezed, activation, stride, **make
                )
            )
            inputs = outputs
        ends.append(len(layers))
        last, hidden = 6 * inputs, make_divisible(hidden * width)
        layers.append(_conv_norm(inputs, last, 1, _HS, **make))
        self.features = Sequential(*layers)
        self.stage_ends = (*ends, len(layers))
        self.classifier = Sequential(
            Linear(last, hidden, dtype=dtype, rngs=rngs),
            _HS,
            Dropout(dropout),
            Linear(hidden, num_classes, kernel_init=normal(0.01), dtype=dtype, rngs=rngs),
        )

    def stages(self) -> Mapping[str, Stage]:
        blocks = (f"blocks{index}" for index in range(1, len(self.stage_ends) - 1))
        return self.features.parts(["stem", *blocks, "last"], self.stage_ends)

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.classifier(global_average_pool(features), mode)


def _register(name: str, rows: tuple[_Row, ...], hidden: int, *reported: Reported) -> None:
    def build(
        num_classes: int,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
        width: float = 1.0,
        dropout: float = 0.2,
        padding: str = TORCH,
        epsilon: float = 1e-3,
    ) -> MobileNetV3:
        return MobileNetV3(
            rows,
            hidden,
            width,
            num_classes,
            padding=padding,
            epsilon=epsilon,
            dropout=dropout,
            dtype=dtype,
            rngs=rngs,
        )

    register(
        name,
        family="mobilenet_v3",
        paper=Paper("Searching for MobileNetV3", "1905.02244", 2019),
        min_size=32,
        reported=reported[0],
        also_reported=reported[1:],
        conventions={
            "torchvision": {"padding": TORCH, "epsilon": 1e-3},
            "timm": {"padding": TORCH, "epsilon": 1e-5},
            "tf-slim": {"padding": TENSORFLOW, "epsilon": 1e-3},
            "keras": {"padding": TENSORFLOW, "epsilon": 1e-3},
        },
    )(build)


_register(
    "mobilenet_v3_large",
    _LARGE,
    1280,
    Reported(0.74042, 0.91340, "torchvision IMAGENET1K_V1"),
    Reported(0.75274, 0.92566, "torchvision IMAGENET1K_V2", resize_size=232),
    Reported(0.752, None, "TF-slim v3-large_224_1.0_float", options={"padding": TENSORFLOW}),
)
_register(
    "mobilenet_v3_small",
    _SMALL,
    1024,
    Reported(0.67668, 0.87402, "torchvision IMAGENET1K_V1"),
)
