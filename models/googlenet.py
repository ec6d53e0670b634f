"""GoogLeNet (Inception v1): Szegedy et al., "Going Deeper with Convolutions", 2014, arXiv:1409.4842.

Table 1, as torchvision has it: batch norm after each convolution, and 3x3 kernels where the paper has 5x5. Two auxiliary
heads (section 5) answer in training only, on the outputs of inception 4a and 4d; the paper multiplies their losses by 0.3.
"""

import jax.numpy as jnp
from flax import nnx

from models.layers import (
    AdaptiveAveragePool,
    BatchNorm,
    Classifier,
    Conv,
    Dropout,
    Layer,
    Linear,
    MaxPool,
    Sequential,
    flatten,
    global_average_pool,
    relu,
)
from models.registry import Paper, Reported, register

# 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5 and pool projection channels of each inception module (table 1).
_MODULES = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
_POOL_BEFORE = {
    "inception4a": MaxPool(3, 2, ceil_mode=True),
    "inception5a": MaxPool(2, 2, ceil_mode=True),
}


class BasicConv(Layer):
    """A convolution without bias, batch norm (epsilon 0.001) and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dtype,
        rngs,
    ):
        self.conv = Conv(
            inputs,
            outputs,
            kernel,
            strides=stride,
            padding=padding,
            use_bias=False,
            dtype=dtype,
            rngs=rngs,
        )
        self.bn = BatchNorm(outputs, epsilon=1e-3, dtype=dtype, rngs=rngs)

    def __call__(self, x, mode):
        return relu(self.bn(self.conv(x), mode))


class Inception(Layer):
    """Four branches on one input, their channels concatenated (figure 2b)."""

    def __init__(self, inputs: int, channels: tuple[int, ...], *, dtype, rngs: nnx.Rngs):
        one, reduce3, three, reduce5, five, pooled = channels
        make = {"dtype": dtype, "rngs": rngs}
        self.branch1 = BasicConv(inputs, one, 1, **make)
        self.branch2 = Sequential(
            BasicConv(inputs, reduce3, 1, **make), BasicConv(reduce3, three, 3, padding=1, **make)
        )
        self.branch3 = Sequential(
            BasicConv(inputs, reduce5, 1, **make), BasicConv(reduce5, five, 3, padding=1, **make)
        )
        self.branch4 = Sequential(MaxPool(3, 1, padding=1), BasicConv(inputs, pooled, 1, **make))

    def __call__(self, x, mode):
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return jnp.concatenate([branch(x, mode) for branch in branches], axis=-1)


class AuxiliaryHead(Layer):
    """4x4 average pooling, a 1x1 convolution and two dense layers (section 5)."""

    def __init__(self, inputs: int, num_classes: int, *, dtype, rngs: nnx.Rngs):
        self.pool = AdaptiveAveragePool(4)
        self.conv = BasicConv(inputs, 128, 1, dtype=dtype, rngs=rngs)
        self.fc1 = Linear(128 * 4 * 4, 1024, dtype=dtype, rngs=rngs)
        self.dropout = Dropout(0.7)
        self.fc2 = Linear(1024, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, x, mode):
        x = flatten(self.conv(self.pool(x), mode))
        return self.fc2(self.dropout(relu(self.fc1(x)), mode))


class GoogLeNet(Classifier):
    """GoogLeNet; stages stem and inception3a to inception5b."""

    head = "fc"
    auxiliary_weight = 0.3

    def __init__(self, num_classes: int, *, auxiliary: bool, dropout: float, dtype, rngs: nnx.Rngs):
        make = {"dtype": dtype, "rngs": rngs}
        self.conv1 = BasicConv(3, 64, 7, stride=2, padding=3, **make)
        self.conv2 = BasicConv(64, 64, 1, **make)
        self.conv3 = BasicConv(64, 192, 3, padding=1, **make)
        self.maxpool = MaxPool(3, 2, ceil_mode=True)
        inputs = 192
        for name, channels in _MODULES.items():
            if auxiliary and name in ("inception4b", "inception4e"):
                head = AuxiliaryHead(inputs, num_classes, **make)
                setattr(self, "aux1" if name == "inception4b" else "aux2", head)
            setattr(self, name, Inception(inputs, channels, **make))
            _, _, three, _, five, pooled = channels
            inputs = channels[0] + three + five + pooled
        self.auxiliary = auxiliary
        self.dropout = Dropout(dropout)
        self.fc = Linear(inputs, num_classes, **make)

    def stages(self):
        return {"stem": self._stem} | {name: self._module(name) for name in _MODULES}

    def _stem(self, x, mode):
        x = self.maxpool(self.conv1(x, mode))
        return self.maxpool(self.conv3(self.conv2(x, mode), mode))

    def _module(self, name):
        pool = _POOL_BEFORE.get(name)
        module = getattr(self, name)
        return module if pool is None else lambda x, mode: module(pool(x), mode)

    def auxiliary_heads(self):
        return {"inception4a": self.aux1, "inception4d": self.aux2} if self.auxiliary else {}

    def classify(self, features, mode):
        return self.fc(self.dropout(global_average_pool(features), mode))


@register(
    "googlenet",
    paper=Paper("Going Deeper with Convolutions", "1409.4842", 2014),
    min_size=15,
    reported=Reported(0.69778, 0.89530, "torchvision IMAGENET1K_V1"),
)
def googlenet(
    num_classes: int, dtype, rngs: nnx.Rngs, auxiliary: bool = True, dropout: float = 0.2
) -> GoogLeNet:
    return GoogLeNet(num_classes, auxiliary=auxiliary, dropout=dropout, dtype=dtype, rngs=rngs)
