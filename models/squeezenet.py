"""SqueezeNet: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016,
arXiv:1602.07360.

Table 1 (version 1.0) and the authors' later release 1.1, which has a smaller first convolution and pools earlier: fire
modules (a 1x1 squeeze, then 1x1 and 3x3 expansions side by side), then a 1x1 convolution to the classes, its ReLU, and
global average pooling.
"""

import jax.numpy as jnp
from flax import nnx

from models.layers import (
    Classifier,
    Conv,
    Dropout,
    Layer,
    MaxPool,
    Sequential,
    global_average_pool,
    normal,
    relu,
)
from models.registry import Paper, Reported, register

_PAPER = Paper(
    "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    "1602.07360",
    2016,
)
_POOL = "pool"
# Squeeze channels and expansion channels (of each kind) of the fire modules 2 to 9, with the pools between them.
_FIRES = {
    "1_0": ((16, 64), (16, 64), (32, 128), _POOL, (32, 128), (48, 192), (48, 192), (64, 256), _POOL, (64, 256)),
    "1_1": ((16, 64), (16, 64), _POOL, (32, 128), (32, 128), _POOL, (48, 192), (48, 192), (64, 256), (64, 256)),
}  # fmt: skip
_STEMS = {"1_0": (7, 96), "1_1": (3, 64)}


class Fire(Layer):
    """A 1x1 squeeze, then 1x1 and 3x3 expansions whose channels are concatenated (figure 1)."""

    def __init__(self, inputs: int, squeezed: int, expanded: int, *, dtype, rngs: nnx.Rngs):
        self.squeeze = Conv(inputs, squeezed, 1, dtype=dtype, rngs=rngs)
        self.expand1x1 = Conv(squeezed, expanded, 1, dtype=dtype, rngs=rngs)
        self.expand3x3 = Conv(squeezed, expanded, 3, padding=1, dtype=dtype, rngs=rngs)

    def __call__(self, x, mode):
        x = relu(self.squeeze(x))
        return jnp.concatenate([relu(self.expand1x1(x)), relu(self.expand3x3(x))], axis=-1)


class SqueezeNet(Classifier):
    """SqueezeNet of version "1_0" or "1_1"; stages conv1 and fire2 to fire9, pools going with what they follow."""

    head = "classifier.1"

    def __init__(self, version: str, num_classes: int, *, dropout: float, dtype, rngs: nnx.Rngs):
        kernel, channels = _STEMS[version]
        pool = MaxPool(3, 2, ceil_mode=True)
        layers = [Conv(3, channels, kernel, strides=2, dtype=dtype, rngs=rngs), relu, pool]
        ends = [len(layers)]
        for entry in _FIRES[version]:
            if entry == _POOL:
                layers.append(pool)
                ends[-1] = len(layers)
                continue
            squeezed, expanded = entry
            layers.append(Fire(channels, squeezed, expanded, dtype=dtype, rngs=rngs))
            ends.append(len(layers))
            channels = 2 * expanded
        self.features = Sequential(*layers)
        self.stage_ends = tuple(ends)
        self.classifier = Sequential(
            Dropout(dropout),
            Conv(channels, num_classes, 1, kernel_init=normal(0.01), dtype=dtype, rngs=rngs),
            relu,
            global_average_pool,
        )

    def stages(self):
        names = ["conv1", *(f"fire{index}" for index in range(2, 10))]
        return self.features.parts(names, self.stage_ends)

    def classify(self, features, mode):
        return self.classifier(features, mode)


def _register(version: str, min_size: int, reported: Reported) -> None:
    def build(num_classes: int, dtype, rngs: nnx.Rngs, dropout: float = 0.5) -> SqueezeNet:
        return SqueezeNet(version, num_classes, dropout=dropout, dtype=dtype, rngs=rngs)

    register(f"squeezenet{version}", paper=_PAPER, min_size=min_size, reported=reported)(build)


_SOURCE = "torchvision IMAGENET1K_V1"
_register("1_0", 21, Reported(0.58092, 0.80420, _SOURCE))
_register("1_1", 17, Reported(0.58178, 0.80624, _SOURCE))
