"""VGG: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014,
arXiv:1409.1556.

Table 1: configurations A (11 weight layers), B (13), D (16) and E (19). Blocks of 3x3 convolutions, each block followed
by 2x2 pooling, then dense layers of 4096, 4096 and `num_classes` over 7x7 features. With `_bn`, batch norm follows each
convolution, as in torchvision.
"""

from collections.abc import Callable, Mapping

import jax
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.initializers import normal
from models.layers import BatchNorm, Conv, Dropout, Linear, Mode, Sequential, Stage, flatten, relu
from models.model_info import Paper, Reported
from models.registry import register
from models.windows import AdaptiveAveragePool, MaxPool

# The side of the features that the first dense layer reads.
_POOLED = 7
_CHANNELS = (64, 128, 256, 512, 512)
# The number of convolutions in each block, by configuration.
_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_PAPER = Paper(
    "Very Deep Convolutional Networks for Large-Scale Image Recognition", "1409.1556", 2014
)


class VGG(Classifier):
    """VGG of the given depth; stages block1 to block5, each ending with its pooling."""

    head = "classifier.6"

    def __init__(
        self,
        depth: int,
        num_classes: int,
        *,
        batch_norm: bool,
        dropout: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        layers: list[Callable[..., jax.Array]] = []
        ends, channels = [], 3
        for features, repeats in zip(_CHANNELS, _DEPTHS[depth], strict=True):
            for _ in range(repeats):
                layers.append(Conv(channels, features, 3, padding=1, dtype=dtype, rngs=rngs))
                if batch_norm:
                    layers.append(BatchNorm(features, dtype=dtype, rngs=rngs))
                layers.append(relu)
                channels = features
            layers.append(MaxPool(2, 2))
            ends.append(len(layers))
        self.features = Sequential(*layers)
        self.stage_ends = tuple(ends)
        self.avgpool = AdaptiveAveragePool(_POOLED)
        self.classifier = Sequential(
            Linear(channels * _POOLED**2, 4096, dtype=dtype, rngs=rngs),
            relu,
            Dropout(dropout),
            Linear(4096, 4096, dtype=dtype, rngs=rngs),
            relu,
            Dropout(dropout),
            Linear(4096, num_classes, kernel_init=normal(0.01), dtype=dtype, rngs=rngs),
        )

    def stages(self) -> Mapping[str, Stage]:
        names = [f"block{index + 1}" for index in range(len(self.stage_ends))]
        return self.features.parts(names, self.stage_ends)

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        if features.shape[1:3] != (1, 1):
            return self.classifier(flatten(self.avgpool(features)), mode)
        # Of 32x32 pixels one is left here, which the pool would only repeat.
        first = getattr(self.classifier, "0")
        hidden = first.on_repeated(features[:, 0, 0], repeats=_POOLED**2)
        return self.classifier.run(1, None, hidden, mode)


def _register(depth: int, batch_norm: bool, reported: Reported) -> None:
    def build(
        num_classes: int, dtype: DTypeLike | None, rngs: nnx.Rngs, dropout: float = 0.5
    ) -> VGG:
        return VGG(
            depth, num_classes, batch_norm=batch_norm, dropout=dropout, dtype=dtype, rngs=rngs
        )

    name = f"vgg{depth}_bn" if batch_norm else f"vgg{depth}"
    register(name, family="vgg", paper=_PAPER, min_size=32, reported=reported)(build)


_SOURCE = "torchvision IMAGENET1K_V1"
_register(11, False, Reported(0.69020, 0.88628, _SOURCE))
_register(11, True, Reported(0.70370, 0.89810, _SOURCE))
_register(13, False, Reported(0.69928, 0.89246, _SOURCE))
_register(13, True, Reported(0.71586, 0.90374, _SOURCE))
_register(16, False, Reported(0.71592, 0.90382, _SOURCE))
_register(16, True, Reported(0.73360, 0.91516, _SOURCE))
_register(19, False, Reported(0.72376, 0.90876, _SOURCE))
_register(19, True, Reported(0.74218, 0.91842, _SOURCE))
