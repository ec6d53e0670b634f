"""AlexNet: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, arXiv:1404.5997.

The single-tower network (section 4.1's model of 64-192-384-256-256 channels, no local response normalisation), as
torchvision has it: five convolutions, three of them followed by 3x3 pooling of stride 2, and three dense layers of
4096, 4096 and `num_classes` over 6x6 features.
"""

from flax import nnx

from models.layers import (
    AdaptiveAveragePool,
    Classifier,
    Conv,
    Dropout,
    Linear,
    MaxPool,
    Sequential,
    flatten,
    relu,
)
from models.registry import Paper, Reported, register

# kernel, stride, padding and channels of each convolution, and whether a pool follows it
_CONVOLUTIONS = (
    (11, 4, 2, 64, True),
    (5, 1, 2, 192, True),
    (3, 1, 1, 384, False),
    (3, 1, 1, 256, False),
    (3, 1, 1, 256, True),
)


class AlexNet(Classifier):
    """The single-tower AlexNet; stages conv1 to conv5, each with its ReLU and pooling."""

    head = "classifier.6"

    def __init__(self, num_classes: int, *, dropout: float, dtype, rngs: nnx.Rngs):
        layers, ends, channels = [], [], 3
        for kernel, stride, padding, features, pooled in _CONVOLUTIONS:
            layers.append(
                Conv(
                    channels,
                    features,
                    kernel,
                    strides=stride,
                    padding=padding,
                    dtype=dtype,
                    rngs=rngs,
                )
            )
            layers.append(relu)
            if pooled:
                layers.append(MaxPool(3, 2))
            ends.append(len(layers))
            channels = features
        self.features = Sequential(*layers)
        self.stage_ends = tuple(ends)
        self.avgpool = AdaptiveAveragePool(6)
        self.classifier = Sequential(
            Dropout(dropout),
            Linear(channels * 6 * 6, 4096, dtype=dtype, rngs=rngs),
            relu,
            Dropout(dropout),
            Linear(4096, 4096, dtype=dtype, rngs=rngs),
            relu,
            Linear(4096, num_classes, dtype=dtype, rngs=rngs),
        )

    def stages(self):
        names = [f"conv{index + 1}" for index in range(len(self.stage_ends))]
        return self.features.parts(names, self.stage_ends)

    def classify(self, features, mode):
        return self.classifier(flatten(self.avgpool(features)), mode)


@register(
    "alexnet",
    paper=Paper(
        "One weird trick for parallelizing convolutional neural networks", "1404.5997", 2014
    ),
    min_size=63,
    reported=Reported(0.56522, 0.79066, "torchvision IMAGENET1K_V1"),
)
def alexnet(num_classes: int, dtype, rngs: nnx.Rngs, dropout: float = 0.5) -> AlexNet:
    return AlexNet(num_classes, dropout=dropout, dtype=dtype, rngs=rngs)
