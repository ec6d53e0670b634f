"""Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015, arXiv:1512.00567.

As torchvision has it, after the authors' TensorFlow code: the stem of table 1, three modules of figure 5 at 35x35, four
of figure 6 at 17x17 with 7x1 and 1x7 kernels, and two of figure 7 at 8x8, with the grid reductions of figure 10 between
them; batch norm after each convolution. The auxiliary head of figure 8 runs in training only, at 17x17.

Convolutions are padded alike in PyTorch and in TensorFlow, but average pooling is not: `padding=tensorflow` leaves
padding out of the means, as the authors' weights and those of Keras want it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier, HeadedLayer
from models.initializers import normal
from models.layers import ConvNorm, Dropout, Layer, Linear, Mode, Stage
from models.model_info import Paper, Reported
from models.normalization import imagenet_to_half
from models.padding import TENSORFLOW, TORCH, check_padding
from models.registry import register
from models.windows import AdaptiveAveragePool, AveragePool, MaxPool, global_average_pool

# TensorFlow leaves padding out of an average.
_AVERAGES = {
    TORCH: AveragePool(3, 1, padding=1),
    TENSORFLOW: AveragePool(3, 1, padding=1, count_padding=False),
}
_HALVE = MaxPool(3, 2)


class Module(Layer):
    """Branches on one input, their channels concatenated. Each line of `branches` names a branch's convolutions."""

    branches: tuple[tuple[str | tuple[str, str], ...], ...]
    branch_pool: ConvNorm
    padding: str = TORCH

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        outputs = [self._branch(x, names, mode) for names in self.branches]
        return jnp.concatenate([*outputs, self.pool(x, mode)], axis=-1)

    def pool(self, x: jax.Array, mode: Mode) -> jax.Array:
        """Returns the last branch: averages, projected by a 1x1 convolution."""
        return self.branch_pool(_AVERAGES[self.padding](x), mode)

    def _branch(
        self, x: jax.Array, names: tuple[str | tuple[str, str], ...], mode: Mode
    ) -> jax.Array:
        for name in names:
            if isinstance(name, tuple):
                x = jnp.concatenate([getattr(self, each)(x, mode) for each in name], axis=-1)
            else:
                x = getattr(self, name)(x, mode)
        return x


class ModuleA(Module):
    """Figure 5, at 35x35; its second branch keeps a 5x5 kernel, as the authors' code does."""

    branches = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    )

    def __init__(self, inputs: int, pooled: int, **make: Any):
        self.branch1x1 = ConvNorm(inputs, 64, 1, **make)
        self.branch5x5_1 = ConvNorm(inputs, 48, 1, **make)
        self.branch5x5_2 = ConvNorm(48, 64, 5, padding=2, **make)
        self.branch3x3dbl_1 = ConvNorm(inputs, 64, 1, **make)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1, **make)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, padding=1, **make)
        self.branch_pool = ConvNorm(inputs, pooled, 1, **make)


class Reduction(Module):
    """A module that halves the grid (figure 10): its last branch is max pooling."""

    def pool(self, x: jax.Array, mode: Mode) -> jax.Array:
        return _HALVE(x)


class ModuleB(Reduction):
    """From 35x35 to 17x17."""

    branches = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))

    def __init__(self, inputs: int, **make: Any):
        self.branch3x3 = ConvNorm(inputs, 384, 3, strides=2, **make)
        self.branch3x3dbl_1 = ConvNorm(inputs, 64, 1, **make)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1, **make)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, strides=2, **make)


class ModuleC(Module):
    """Figure 6 with n = 7, at 17x17."""

    branches = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        ("branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
    )

    def __init__(self, inputs: int, channels: int, **make: Any):
        def row(inputs: int, outputs: int) -> ConvNorm:
            return ConvNorm(inputs, outputs, (1, 7), padding=(0, 3), **make)

        def column(inputs: int, outputs: int) -> ConvNorm:
            return ConvNorm(inputs, outputs, (7, 1), padding=(3, 0), **make)

        self.branch1x1 = ConvNorm(inputs, 192, 1, **make)
        self.branch7x7_1 = ConvNorm(inputs, channels, 1, **make)
        self.branch7x7_2 = row(channels, channels)
        self.branch7x7_3 = column(channels, 192)
        self.branch7x7dbl_1 = ConvNorm(inputs, channels, 1, **make)
        self.branch7x7dbl_2 = column(channels, channels)
        self.branch7x7dbl_3 = row(channels, channels)
        self.branch7x7dbl_4 = column(channels, channels)
        self.branch7x7dbl_5 = row(channels, 192)
        self.branch_pool = ConvNorm(inputs, 192, 1, **make)


class ModuleD(Reduction):
    """From 17x17 to 8x8."""

    branches = (
        ("branch3x3_1", "branch3x3_2"),
        ("branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"),
    )

    def __init__(self, inputs: int, **make: Any):
        self.branch3x3_1 = ConvNorm(inputs, 192, 1, **make)
        self.branch3x3_2 = ConvNorm(192, 320, 3, strides=2, **make)
        self.branch7x7x3_1 = ConvNorm(inputs, 192, 1, **make)
        self.branch7x7x3_2 = ConvNorm(192, 192, (1, 7), padding=(0, 3), **make)
        self.branch7x7x3_3 = ConvNorm(192, 192, (7, 1), padding=(3, 0), **make)
        self.branch7x7x3_4 = ConvNorm(192, 192, 3, strides=2, **make)


class ModuleE(Module):
    """Figure 7, at 8x8: two branches end in a 1x3 and a 3x1 convolution side by side."""

    branches = (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
    )

    def __init__(self, inputs: int, **make: Any):
        self.branch1x1 = ConvNorm(inputs, 320, 1, **make)
        self.branch3x3_1 = ConvNorm(inputs, 384, 1, **make)
        self.branch3x3_2a = ConvNorm(384, 384, (1, 3), padding=(0, 1), **make)
        self.branch3x3_2b = ConvNorm(384, 384, (3, 1), padding=(1, 0), **make)
        self.branch3x3dbl_1 = ConvNorm(inputs, 448, 1, **make)
        self.branch3x3dbl_2 = ConvNorm(448, 384, 3, padding=1, **make)
        self.branch3x3dbl_3a = ConvNorm(384, 384, (1, 3), padding=(0, 1), **make)
        self.branch3x3dbl_3b = ConvNorm(384, 384, (3, 1), padding=(1, 0), **make)
        self.branch_pool = ConvNorm(inputs, 192, 1, **make)


class AuxiliaryHead(HeadedLayer):
    """5x5 average pooling of stride 3, a 1x1 and a 5x5 convolution, and one dense layer (figure 8).

    17x17 features are pooled to 5x5, larger ones to more. Smaller ones are pooled to 5x5 over adaptive bins, where
    torchvision fails.
    """

    head = "fc"

    def __init__(self, inputs: int, num_classes: int, *, dtype: DTypeLike | None, rngs: nnx.Rngs):
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.conv0 = ConvNorm(inputs, 128, 1, **make)
        self.conv1 = ConvNorm(128, 768, 5, kernel_init=normal(0.01), **make)
        self.fc = Linear(768, num_classes, kernel_init=normal(0.001), **make)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        windows = AveragePool(5, 3)
        fits = all(windows.output_size(size) >= 5 for size in x.shape[1:3])
        x = windows(x) if fits else AdaptiveAveragePool(5)(x)
        x = self.conv1(self.conv0(x, mode), mode)
        return self.fc(global_average_pool(x))


class InceptionV3(Classifier):
    """Inception v3; stages stem and Mixed_5b to Mixed_7c."""

    head = "fc"
    # The paper gives no weight; 0.4 is that of the authors' code (slim/train_image_classifier.py).
    auxiliary_weight = 0.4

    def __init__(
        self,
        num_classes: int,
        *,
        auxiliary: bool,
        transform_input: bool,
        dropout: float,
        padding: str,
        dtype: DTypeLike | None,
        rngs: nnx.Rngs,
    ):
        check_padding(padding)
        make: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.transform_input = transform_input
        self.auxiliary = auxiliary
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, strides=2, **make)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3, **make)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padding=1, **make)
        self.maxpool1 = MaxPool(3, 2)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1, **make)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, **make)
        self.maxpool2 = MaxPool(3, 2)
        self.Mixed_5b = ModuleA(192, 32, **make)
        self.Mixed_5c = ModuleA(256, 64, **make)
        self.Mixed_5d = ModuleA(288, 64, **make)
        self.Mixed_6a = ModuleB(288, **make)
        self.Mixed_6b = ModuleC(768, 128, **make)
        self.Mixed_6c = ModuleC(768, 160, **make)
        self.Mixed_6d = ModuleC(768, 160, **make)
        self.Mixed_6e = ModuleC(768, 192, **make)
        if auxiliary:
            self.AuxLogits = AuxiliaryHead(768, num_classes, **make)
        self.Mixed_7a = ModuleD(768, **make)
        self.Mixed_7b = ModuleE(1280, **make)
        self.Mixed_7c = ModuleE(2048, **make)
        for module in vars(self).values():
            if isinstance(module, Module):
                module.padding = padding
        self.dropout = Dropout(dropout)
        self.fc = Linear(2048, num_classes, kernel_init=normal(0.01), **make)

    def stages(self) -> Mapping[str, Stage]:
        names = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
        return {"stem": self._stem} | {f"Mixed_{n}": getattr(self, f"Mixed_{n}") for n in names}

    def _stem(self, x: jax.Array, mode: Mode) -> jax.Array:
        if self.transform_input:
            x = imagenet_to_half(x)
        x = self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x, mode), mode)
        x = self.maxpool1(self.Conv2d_2b_3x3(x, mode))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x, mode), mode)
        return self.maxpool2(x)

    def auxiliary_heads(self) -> Mapping[str, HeadedLayer]:
        return {"Mixed_6e": self.AuxLogits} if self.auxiliary else {}

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        return self.fc(self.dropout(global_average_pool(features), mode))


@register(
    "inception_v3",
    family="inception_v3",
    paper=Paper("Rethinking the Inception Architecture for Computer Vision", "1512.00567", 2015),
    min_size=75,
    input_size=299,
    resize_size=342,
    reported=Reported(0.77294, 0.93450, "torchvision IMAGENET1K_V1"),
    also_reported=(Reported(0.779, 0.937, "Keras Applications", options={"padding": TENSORFLOW}),),
    conventions={
        "torchvision": {"padding": TORCH},
        "timm": {"padding": TORCH},
        "tf-slim": {"padding": TENSORFLOW},
        "keras": {"padding": TENSORFLOW},
    },
    published_options={"transform_input": True},
)
def inception_v3(
    num_classes: int,
    dtype: DTypeLike | None,
    rngs: nnx.Rngs,
    auxiliary: bool = True,
    transform_input: bool = False,
    dropout: float = 0.5,
    padding: str = TORCH,
) -> InceptionV3:
    """Returns Inception v3; `transform_input` is for torchvision's weights (`normalization.imagenet_to_half`)."""
    return InceptionV3(
        num_classes,
        auxiliary=auxiliary,
        transform_input=transform_input,
        dropout=dropout,
        padding=padding,
        dtype=dtype,
        rngs=rngs,
    )
