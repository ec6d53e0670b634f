"""AlexNet, in its two versions.

`alexnet`: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, arXiv:1404.5997. The
single-tower network as torchvision has it (64-192-384-256-256 channels, no local response normalization): five
convolutions, three of them followed by 3x3 pooling of stride 2, and three dense layers of 4096, 4096 and `num_classes`
over 6x6 features.

`alexnet_2012`: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
2012, figure 2 and section 3: 96-256-384-384-256 channels, convolutions 2, 4 and 5 each seeing half of them (the two
GPUs), local response normalization before the first two pools, and the paper's initialization (section 5).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier
from models.errors import ModelError
from models.initializers import constant, normal
from models.layers import Conv, Dropout, Linear, Mode, Sequential, Stage, flatten, relu
from models.model_info import Paper, Reported
from models.registry import register
from models.windows import AdaptiveAveragePool, LocalResponseNorm, MaxPool


@dataclasses.dataclass(frozen=True)
class _Convolution:
    kernel: int
    stride: int
    padding: int
    channels: int
    pooled: bool = False
    normalized: bool = False
    halved: bool = False


_ONE_TOWER = (
    _Convolution(11, 4, 2, 64, pooled=True),
    _Convolution(5, 1, 2, 192, pooled=True),
    _Convolution(3, 1, 1, 384),
    _Convolution(3, 1, 1, 256),
    _Convolution(3, 1, 1, 256, pooled=True),
)
_TWO_TOWERS = (
    _Convolution(11, 4, 2, 96, pooled=True, normalized=True),
    _Convolution(5, 1, 2, 256, pooled=True, normalized=True, halved=True),
    _Convolution(3, 1, 1, 384),
    _Convolution(3, 1, 1, 384, halved=True),
    _Convolution(3, 1, 1, 256, pooled=True, halved=True),
)


class AlexNet(Classifier):
    """AlexNet of the given convolutions; stages conv1 to conv5, each with its ReLU, normalization and pooling.

    Attribute names are torchvision's. `groups` is the number of groups of a halved convolution. `paper_initialization`
    draws kernels from N(0, 0.01^2), with biases of 1 in the halved convolutions and in the hidden dense layers.
    """

    head = "classifier.6"

    def __init__(
        self,
        convolutions: tuple[_Convolution, ...],
        num_classes: int,
        *,
        groups: int = 1,
        paper_initialization: bool = False,
        dropout: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        plain: dict[str, Any] = {}
        biased: dict[str, Any] = {}
        if paper_initialization:
            plain = {"kernel_init": normal(0.01)}
            biased = plain | {"bias_init": constant(1.0)}
        layers: list[Callable[..., jax.Array]] = []
        ends, channels = [], 3
        for layer in convolutions:
            layers.append(
                Conv(
                    channels,
                    layer.channels,
                    layer.kernel,
                    strides=layer.stride,
                    padding=layer.padding,
                    groups=groups if layer.halved else 1,
                    **(biased if layer.halved else plain),
                    **make,
                )
            )
            layers.append(relu)
            if layer.normalized:
                layers.append(LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0))
            if layer.pooled:
                layers.append(MaxPool(3, 2))
            ends.append(len(layers))
            channels = layer.channels
        self.features = Sequential(*layers)
        self.stage_ends = tuple(ends)
        self.avgpool = AdaptiveAveragePool(6)
        self.classifier = Sequential(
            Dropout(dropout),
            Linear(channels * 6 * 6, 4096, **biased, **make),
            relu,
            Dropout(dropout),
            Linear(4096, 4096, **biased, **make),
            relu,
            Linear(4096, num_classes, kernel_init=normal(0.01), **make),
        )

    def stages(self) -> Mapping[str, Stage]:
        names = [f"conv{index + 1}" for index in range(len(self.stage_ends))]
        return self.features.parts(names, self.stage_ends)

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.classifier(flatten(self.avgpool(features)), mode)


@register(
    "alexnet",
    family="alexnet",
    paper=Paper(
        "One weird trick for parallelizing convolutional neural networks", "1404.5997", 2014
    ),
    min_size=63,
    reported=Reported(0.56522, 0.79066, "torchvision IMAGENET1K_V1"),
)
def alexnet(
    num_classes: int, dtype: DTypeLike | None, rngs: nnx.Rngs, dropout: float = 0.5
) -> AlexNet:
    """Returns the network of 2014; `dropout` is the rate before each hidden dense layer."""
    return AlexNet(_ONE_TOWER, num_classes, dropout=dropout, dtype=dtype, rngs=rngs)


@register(
    "alexnet_2012",
    family="alexnet",
    paper=Paper("ImageNet Classification with Deep Convolutional Neural Networks", None, 2012),
    min_size=63,
    reported=Reported(0.593, 0.818, "the paper, one network, ten crops"),
)
def alexnet_2012(
    num_classes: int, dtype: DTypeLike | None, rngs: nnx.Rngs, groups: int = 2, dropout: float = 0.5
) -> AlexNet:
    """Returns the network of 2012. With `groups=1` all convolutions see all channels, as on a single GPU.

    Raises:
      ModelError: another number of groups than 1 or 2.
    """
    if groups not in (1, 2):
        raise ModelError(f"alexnet_2012 has 1 or 2 groups, not {groups}.")
    return AlexNet(
        _TWO_TOWERS,
        num_classes,
        groups=groups,
        paper_initialization=True,
        dropout=dropout,
        dtype=dtype,
        rngs=rngs,
    )
