"""SqueezeNet: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
2016, arXiv:1602.07360.

Table 1 (version 1.0) and the authors' later release 1.1, which has a smaller first convolution and pools earlier: fire
modules (a 1x1 squeeze, then 1x1 and 3x3 expansions side by side), then a 1x1 convolution to the classes, its ReLU, and
global average pooling. With simple bypass (section 6, figure 2, middle) the input of fire 3, 5, 7 and 9 is added to its
output. `final_relu=false` leaves out the ReLU after the logits, for tasks that take their sigmoid (`binary` and
`multi_label`): after a ReLU none is below a half.

In Caffe, where the authors' weights come from, and in PyTorch a pool's last window may end outside the picture.
TensorFlow and Keras, whose ports pool without padding ("VALID"), leave that window out: `padding=tensorflow`.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.initializers import constant, normal
from models.layers import Conv, Dropout, Layer, Mode, Sequential, Stage, relu
from models.model_info import Paper, Reported
from models.padding import TENSORFLOW, TORCH, check_padding
from models.registry import register
from models.windows import MaxPool, global_average_pool

_PAPER = Paper(
    "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    "1602.07360",
    2016,
)
_POOL = "pool"
# Squeeze channels and expansion channels (of each kind) of the fire modules 2 to 9, with the pools between them.
_FIRES: dict[str, tuple[tuple[int, int] | str, ...]] = {
    "1_0": ((16, 64), (16, 64), (32, 128), _POOL, (32, 128), (48, 192), (48, 192), (64, 256), _POOL, (64, 256)),
    "1_1": ((16, 64), (16, 64), _POOL, (32, 128), (32, 128), _POOL, (48, 192), (48, 192), (64, 256), (64, 256)),
}  # fmt: skip
_STEMS = {"1_0": (7, 96), "1_1": (3, 64)}


class Fire(Layer):
    """A 1x1 squeeze, then 1x1 and 3x3 expansions whose channels are concatenated (figure 1)."""

    def __init__(
        self,
        inputs: int,
        squeezed: int,
        expanded: int,
        *,
        bypass: bool,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        self.bypass = bypass
        self.squeeze = Conv(inputs, squeezed, 1, dtype=dtype, rngs=rngs)
        self.expand1x1 = Conv(squeezed, expanded, 1, dtype=dtype, rngs=rngs)
        self.expand3x3 = Conv(squeezed, expanded, 3, padding=1, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        squeezed = relu(self.squeeze(x))
        expanded = [relu(self.expand1x1(squeezed)), relu(self.expand3x3(squeezed))]
        out = jnp.concatenate(expanded, axis=-1)
        return out + x if self.bypass else out


class SqueezeNet(Classifier):
    """SqueezeNet of version "1_0" or "1_1"; stages conv1 and fire2 to fire9, pools going with what they follow."""

    head = "classifier.1"

    def __init__(
        self,
        version: str,
        num_classes: int,
        *,
        bypass: bool,
        dropout: float,
        final_relu: bool,
        padding: str,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        check_padding(padding)
        kernel, channels = _STEMS[version]
        pool = MaxPool(3, 2, ceil_mode=padding == TORCH)
        layers: list[Callable[..., jax.Array]] = [
            Conv(3, channels, kernel, strides=2, dtype=dtype, rngs=rngs),
            relu,
            pool,
        ]
        ends = [len(layers)]
        for entry in _FIRES[version]:
            if isinstance(entry, str):
                layers.append(pool)
                ends[-1] = len(layers)
                continue
            squeezed, expanded = entry
            # Fires that keep the number of channels: 3, 5, 7 and 9.
            around = bypass and channels == 2 * expanded
            layers.append(Fire(channels, squeezed, expanded, bypass=around, dtype=dtype, rngs=rngs))
            ends.append(len(layers))
            channels = 2 * expanded
        self.features = Sequential(*layers)
        self.stage_ends = tuple(ends)
        # A ReLU follows the logits, so a class whose logits are below 0 gets no gradient and may never be learned. With
        # the authors' bias of 0 that happens within a few hundred steps.
        bias = constant(1.0 if final_relu else 0.0)
        logits = Conv(
            channels,
            num_classes,
            1,
            kernel_init=normal(0.01),
            bias_init=bias,
            dtype=dtype,
            rngs=rngs,
        )
        self.classifier = Sequential(
            Dropout(dropout),
            logits,
            *([relu] if final_relu else []),
            global_average_pool,
        )

    def stages(self) -> Mapping[str, Stage]:
        names = ["conv1", *(f"fire{index}" for index in range(2, 10))]
        return self.features.parts(names, self.stage_ends)

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.classifier(features, mode)


def _register(name: str, version: str, bypass: bool, min_size: int, reported: Reported) -> None:
    def build(
        num_classes: int,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
        dropout: float = 0.5,
        final_relu: bool = True,
        padding: str = TORCH,
    ) -> SqueezeNet:
        return SqueezeNet(
            version,
            num_classes,
            bypass=bypass,
            dropout=dropout,
            final_relu=final_relu,
            padding=padding,
            dtype=dtype,
            rngs=rngs,
        )

    register(
        name,
        family="squeezenet",
        paper=_PAPER,
        min_size=min_size,
        reported=reported,
        conventions={
            "caffe": {"padding": TORCH},
            "torchvision": {"padding": TORCH},
            "keras": {"padding": TENSORFLOW},
        },
    )(build)


_SOURCE = "torchvision IMAGENET1K_V1"
_register("squeezenet1_0", "1_0", False, 21, Reported(0.58092, 0.80420, _SOURCE))
_register("squeezenet1_0_bypass", "1_0", True, 21, Reported(0.604, 0.825, "the paper, table 3"))
_register("squeezenet1_1", "1_1", False, 17, Reported(0.58178, 0.80624, _SOURCE))
