"""GoogLeNet (Inception v1): Szegedy et al., "Going Deeper with Convolutions", 2014, arXiv:1409.4842, table 1.

`googlenet` is torchvision's: batch norm after each convolution, and 3x3 kernels where the paper has 5x5. TF-slim's
`inception_v1`, which torchvision took its weights from, is the same network with `padding=tensorflow`.
`googlenet_paper` is the paper's: biases and no batch norm, true 5x5 kernels, and local response normalization after the
first pool and before the second. The paper does not give its constants, so they are those of the Caffe port
(`bvlc_googlenet/train_val.prototxt`).

Two auxiliary heads (section 5) run in training only, on the outputs of inception 4a and 4d; the paper multiplies their
losses by 0.3.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier, HeadedLayer
from models.initializers import normal
from models.layers import (
    Conv,
    ConvNorm,
    Dropout,
    Layer,
    Linear,
    Mode,
    Sequential,
    Stage,
    flatten,
    relu,
)
from models.model_info import Paper, Reported
from models.normalization import imagenet_to_half
from models.padding import SAME, TENSORFLOW, TORCH, Same, check_padding, keeping_size
from models.registry import register
from models.windows import (
    AdaptiveAveragePool,
    AveragePool,
    LocalResponseNorm,
    MaxPool,
    global_average_pool,
)

_PAPER = Paper("Going Deeper with Convolutions", "1409.4842", 2014)
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
_POOL_BEFORE = {"inception4a": "maxpool3", "inception5a": "maxpool4"}
_HEAD_AFTER = {"inception4a": "aux1", "inception4d": "aux2"}


class ConvRelu(Layer):
    """A convolution with its bias, and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        strides: int = 1,
        padding: int | Same = 0,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            inputs, outputs, kernel, strides=strides, padding=padding, dtype=dtype, rngs=rngs
        )

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        return relu(self.conv(x))


_Convolution = type[ConvRelu] | type[ConvNorm]


class Inception(Layer):
    """Four branches on one input, their channels concatenated (figure 2b); `five` is the third one's kernel."""

    def __init__(
        self,
        convolution: _Convolution,
        inputs: int,
        channels: tuple[int, ...],
        five: int,
        *,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        outputs1, reduce3, outputs3, reduce5, outputs5, pooled = channels
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.branch1 = convolution(inputs, outputs1, 1, **make)
        self.branch2 = Sequential(
            convolution(inputs, reduce3, 1, **make),
            convolution(reduce3, outputs3, 3, padding=1, **make),
        )
        self.branch3 = Sequential(
            convolution(inputs, reduce5, 1, **make),
            convolution(reduce5, outputs5, five, padding=five // 2, **make),
        )
        self.branch4 = Sequential(MaxPool(3, 1, padding=1), convolution(inputs, pooled, 1, **make))

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return jnp.concatenate([branch(x, mode) for branch in branches], axis=-1)


class AuxiliaryHead(HeadedLayer):
    """Average pooling to 4x4, a 1x1 convolution and two dense layers (section 5)."""

    head = "fc2"

    def __init__(
        self,
        convolution: _Convolution,
        pool: Callable[[jax.Array], jax.Array],
        inputs: int,
        num_classes: int,
        *,
        dropout: float,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        self.pool = pool
        self.conv = convolution(inputs, 128, 1, dtype=dtype, rngs=rngs)
        self.fc1 = Linear(128 * 4 * 4, 1024, dtype=dtype, rngs=rngs)
        self.dropout = Dropout(dropout)
        self.fc2 = Linear(1024, num_classes, kernel_init=normal(0.01), dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        x = flatten(self.conv(self.pool(x), mode))
        return self.fc2(self.dropout(relu(self.fc1(x)), mode))


def _pool_5x5_to_4x4(x: jax.Array) -> jax.Array:
    """Pools 14x14 to 4x4 over 5x5 windows of stride 3, as the paper does, and other sizes over adaptive bins."""
    windows = AveragePool(5, 3)
    fits = all(windows.output_size(size) == 4 for size in x.shape[1:3])
    return windows(x) if fits else AdaptiveAveragePool(4)(x)


class GoogLeNet(Classifier):
    """GoogLeNet; stages stem and inception3a to inception5b. `as_paper` says which of the two."""

    head = "fc"
    auxiliary_weight = 0.3

    def __init__(
        self,
        num_classes: int,
        *,
        as_paper: bool,
        auxiliary: bool,
        transform_input: bool = False,
        dropout: float,
        auxiliary_dropout: float,
        padding: str = TORCH,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        check_padding(padding)
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        # Caffe's and PyTorch's pools are not padded, but their last window may end outside the picture.
        same: dict[str, Any] = {"padding": SAME} if padding == TENSORFLOW else {"ceil_mode": True}
        convolution: _Convolution = ConvRelu if as_paper else ConvNorm
        pool = _pool_5x5_to_4x4 if as_paper else AdaptiveAveragePool(4)
        self.transform_input = transform_input
        self.conv1 = convolution(3, 64, 7, strides=2, padding=keeping_size(7, padding), **make)
        self.maxpool1 = MaxPool(3, 2, **same)
        self.conv2 = convolution(64, 64, 1, **make)
        self.conv3 = convolution(64, 192, 3, padding=1, **make)
        self.maxpool2 = MaxPool(3, 2, **same)
        self.maxpool3 = MaxPool(3, 2, **same)
        self.maxpool4 = MaxPool(3 if as_paper else 2, 2, **same)
        self.norm = LocalResponseNorm(5, alpha=1e-4 / 5, beta=0.75, k=1.0) if as_paper else None
        inputs = 192
        for name, channels in _MODULES.items():
            module = Inception(convolution, inputs, channels, 5 if as_paper else 3, **make)
            setattr(self, name, module)
            outputs1, _, outputs3, _, outputs5, pooled = channels
            inputs = outputs1 + outputs3 + outputs5 + pooled
            if auxiliary and name in _HEAD_AFTER:
                head = AuxiliaryHead(
                    convolution, pool, inputs, num_classes, dropout=auxiliary_dropout, **make
                )
                setattr(self, _HEAD_AFTER[name], head)
        self.auxiliary = auxiliary
        self.dropout = Dropout(dropout)
        self.fc = Linear(inputs, num_classes, kernel_init=normal(0.01), **make)

    def stages(self) -> Mapping[str, Stage]:
        return {"stem": self._stem} | {name: self._module(name) for name in _MODULES}

    def _stem(self, x: jax.Array, mode: Mode) -> jax.Array:
        if self.transform_input:
            x = imagenet_to_half(x)
        x = self.maxpool1(self.conv1(x, mode))
        x = x if self.norm is None else self.norm(x)
        x = self.conv3(self.conv2(x, mode), mode)
        x = x if self.norm is None else self.norm(x)
        return self.maxpool2(x)

    def _module(self, name: str) -> Stage:
        module = getattr(self, name)
        if name not in _POOL_BEFORE:
            return module
        pool = getattr(self, _POOL_BEFORE[name])
        return lambda x, mode: module(pool(x), mode)

    def auxiliary_heads(self) -> Mapping[str, HeadedLayer]:
        if not self.auxiliary:
            return {}
        return {stage: getattr(self, head) for stage, head in _HEAD_AFTER.items()}

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.fc(self.dropout(global_average_pool(features), mode))


@register(
    "googlenet",
    family="googlenet",
    paper=_PAPER,
    min_size=15,
    reported=Reported(0.69778, 0.89530, "torchvision IMAGENET1K_V1"),
    conventions={"torchvision": {"padding": TORCH}, "tf-slim": {"padding": TENSORFLOW}},
    published_options={"transform_input": True},
)
def googlenet(
    num_classes: int,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    auxiliary: bool = True,
    transform_input: bool = False,
    dropout: float = 0.2,
    auxiliary_dropout: float = 0.7,
    padding: str = TORCH,
) -> GoogLeNet:
    """Returns torchvision's GoogLeNet; `transform_input` is for its weights (`normalization.imagenet_to_half`)."""
    return GoogLeNet(
        num_classes,
        as_paper=False,
        auxiliary=auxiliary,
        transform_input=transform_input,
        dropout=dropout,
        auxiliary_dropout=auxiliary_dropout,
        padding=padding,
        dtype=dtype,
        rngs=rngs,
    )


@register(
    "googlenet_paper",
    family="googlenet",
    paper=_PAPER,
    min_size=31,
    reported=Reported(0.687, 0.889, "BVLC GoogLeNet (Caffe), center crop"),
)
def googlenet_paper(
    num_classes: int,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    auxiliary: bool = True,
    dropout: float = 0.4,
    auxiliary_dropout: float = 0.7,
) -> GoogLeNet:
    """Returns the paper's GoogLeNet."""
    return GoogLeNet(
        num_classes,
        as_paper=True,
        auxiliary=auxiliary,
        dropout=dropout,
        auxiliary_dropout=auxiliary_dropout,
        dtype=dtype,
        rngs=rngs,
    )
