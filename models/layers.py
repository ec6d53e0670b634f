"""The few layers that families share.

Each is called as `layer(x, mode)`, where x is [batch, height, width, channels] or [batch, features]. The `Mode` says
whether the network is being trained, so that nothing depends on a hidden switch.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import cast

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from models import dense, fused_norm, platform
from models.convolution import conv_general_dilated
from models.errors import ModelError
from models.fused_norm import Activation
from models.initializers import Initializer, he_normal, ones, zeros
from models.padding import Same
from models.windows import MaxPool, widened


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a forward pass runs.

    Attributes:
      train: batch norm uses and updates batch statistics, dropout drops, auxiliary heads answer.
      rngs: the randomness of dropout; needed when training a model that has any.
      fold: whether layers go together that are the same so but for rounding, for fewer passes over the activations. In
        inference a convolution takes over the map of the batch norm after it, as accelerators do a convolution, its
        bias and a ReLU as one kernel; for training see `models/fused_norm.py`.
    """

    train: bool = False
    rngs: nnx.Rngs | None = None
    fold: bool = False


# What turns (x, mode) into the next x: a `Layer`, or a method of a network.
Stage = Callable[[jax.Array, Mode], jax.Array]


class Layer(nnx.Module):
    """A module that is called with (x, mode)."""


class Sequential(Layer):
    """Layers in order, held as attributes `0`, `1`, ... or by the names given, as torchvision's state dict has them.

    An entry is a `Layer` or a function of x alone.
    """

    def __init__(self, *layers: Callable[..., jax.Array], **named: Callable[..., jax.Array]):
        entries = {str(index): layer for index, layer in enumerate(layers)} | named
        self.names = tuple(entries)
        for name, layer in entries.items():
            setattr(self, name, layer)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        return self.run(0, None, x, mode)

    def parts(self, names: Sequence[str], ends: Sequence[int]) -> dict[str, Stage]:
        """Returns the stack in parts that end before each index of `ends`: functions of (x, mode), by `names`."""
        starts = (0, *ends[:-1])
        return {
            name: functools.partial(self.run, start, end)
            for name, start, end in zip(names, starts, ends, strict=True)
        }

    def run(self, start: int, end: int | None, x: jax.Array, mode: Mode) -> jax.Array:
        """Applies the entries from index `start` up to `end`."""
        layers = [getattr(self, name) for name in self.names[start:end]]
        while layers:
            layer = layers.pop(0)
            if isinstance(layer, Conv) and _begins(layers, BatchNorm):
                norm = layers.pop(0)
                x = normalized(layer, norm, x, mode, _activation_of(layers))
            elif layer is relu and mode.train and mode.fold and _begins(layers, MaxPool):
                x = layers.pop(0).of_relu(x)
            else:
                x = layer(x, mode) if isinstance(layer, Layer) else layer(x)
        return x


class Conv(nnx.Conv, Layer):
    """`nnx.Conv` with symmetric padding in pixels (an int or a pair), like PyTorch's Conv2d, or TensorFlow's "SAME"."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | tuple[int, int],
        *,
        strides: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | Same = 0,
        groups: int = 1,
        use_bias: bool = True,
        kernel_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            _pair(kernel_size),
            strides=_pair(strides),
            padding=padding if isinstance(padding, str) else _both_sides(padding),
            feature_group_count=groups,
            use_bias=use_bias,
            kernel_init=kernel_init or he_normal,
            bias_init=bias_init or zeros,
            conv_general_dilated=conv_general_dilated,
            dtype=dtype,
            rngs=rngs,
        )
        self.initializers = (kernel_init, bias_init)

    @jax.named_scope("convolution")
    def __call__(self, x: jax.Array, mode: Mode | None = None) -> jax.Array:
        return super().__call__(x)

    @jax.named_scope("convolution")
    def mapped(self, x: jax.Array, multiplier: jax.Array, shift: jax.Array) -> jax.Array:
        """Returns self(x) * multiplier + shift, [out_features] each, as one convolution with another kernel."""
        kernel = self.kernel[...] * multiplier
        bias = shift if self.bias is None else self.bias[...] * multiplier + shift
        x, kernel, bias = self.promote_dtype((x, kernel, bias), dtype=self.dtype)
        out = conv_general_dilated(
            x,
            kernel,
            cast(tuple[int, int], self.strides),
            cast(Same | tuple[tuple[int, int], tuple[int, int]], self.padding),
            dimension_numbers=lax.conv_dimension_numbers(
                x.shape, kernel.shape, ("NHWC", "HWIO", "NHWC")
            ),
            feature_group_count=self.feature_group_count,
        )
        return out + bias

    def resized(self, out_features: int, rngs: nnx.Rngs) -> "Conv":
        """Returns a new layer like this one, freshly initialized, with other output channels."""
        kernel_init, bias_init = self.initializers
        # `nnx.Conv` declares wider types than those that `__init__` gives it.
        padding = cast(Same | tuple[tuple[int, int], tuple[int, int]], self.padding)
        return Conv(
            self.in_features,
            out_features,
            cast(tuple[int, int], self.kernel_size),
            strides=cast(tuple[int, int], self.strides),
            padding=padding if isinstance(padding, str) else (padding[0][0], padding[1][0]),
            groups=self.feature_group_count,
            use_bias=self.use_bias,
            kernel_init=kernel_init,
            bias_init=bias_init,
            dtype=self.dtype,
            rngs=rngs,
        )


class Linear(nnx.Linear, Layer):
    """A dense layer on [batch, in_features]."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        kernel_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            kernel_init=kernel_init or he_normal,
            bias_init=bias_init or zeros,
            dtype=dtype,
            rngs=rngs,
        )
        self.initializers = (kernel_init, bias_init)

    @jax.named_scope("dense")
    def __call__(self, x: jax.Array, mode: Mode | None = None) -> jax.Array:
        x, kernel, bias = self._operands(x)
        return dense.product(x, kernel) + bias

    @jax.named_scope("dense")
    def on_repeated(self, x: jax.Array, repeats: int) -> jax.Array:
        """Returns self(jnp.repeat(x, repeats, axis=-1)) for x [batch, in_features / repeats].

        On the CPU the rows of the kernel that meet the same feature are added up first, so neither the product with the
        whole kernel nor its gradient is computed: they would be half of a training step of VGG at 32x32 pixels.
        """

        def repeated(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return jnp.repeat(x, repeats, axis=-1) @ kernel

        def folded(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return dense.product(x, kernel.reshape(x.shape[-1], repeats, -1).sum(1))

        x, kernel, bias = self._operands(x)
        return platform.choose(x, kernel, cpu=folded, default=repeated) + bias

    def _operands(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns (x, kernel, bias) in the dtype that is computed with."""
        assert self.bias is not None
        return self.promote_dtype((x, self.kernel[...], self.bias[...]), dtype=self.dtype)

    def resized(self, out_features: int, rngs: nnx.Rngs) -> "Linear":
        """Returns a new layer like this one, freshly initialized, with other outputs."""
        kernel_init, bias_init = self.initializers
        return Linear(
            self.in_features,
            out_features,
            kernel_init=kernel_init,
            bias_init=bias_init,
            dtype=self.dtype,
            rngs=rngs,
        )


class BatchNorm(Layer):
    """Batch normalization over all axes but the last (Ioffe and Szegedy 2015, algorithm 1).

    Unlike `nnx.BatchNorm` it keeps the statistics and the affine map in float32 whatever the compute dtype is, and
    applies them as one multiply-add. Under `jax.jit` the statistics are those of the global batch. As in Flax, the
    running variance is that of the biased estimate.
    """

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        scale_init: Initializer | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        if not 0 < epsilon < 1:
            raise ModelError(
                f"batch norm's epsilon is a number above 0 and below 1, not {epsilon}."
            )
        key = rngs.params()
        self.scale = nnx.Param((scale_init or ones)(key, (features,), jnp.float32))
        self.bias = nnx.Param(zeros(key, (features,), jnp.float32))
        self.mean = nnx.BatchStat(zeros(key, (features,), jnp.float32))
        self.var = nnx.BatchStat(ones(key, (features,), jnp.float32))
        self.epsilon = epsilon
        self.momentum = momentum
        self.dtype = dtype

    @jax.named_scope("batch_norm")
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        if mode.train:
            axes = tuple(range(x.ndim - 1))
            wide = x.astype(widened(x.dtype))
            mean = jnp.mean(wide, axes)
            # E[x^2] - E[x]^2 takes one pass over x; rounding may bring it below 0.
            var = jnp.maximum(0.0, jnp.mean(lax.square(wide), axes) - lax.square(mean))
            self._update(mean, var)
        else:
            mean, var = self.mean[...], self.var[...]
        multiplier, shift = self._map(mean, var)
        return (x * multiplier + shift).astype(self.dtype or x.dtype)

    @jax.named_scope("batch_norm")
    def activated(self, x: jax.Array, activation: Activation) -> jax.Array:
        """Returns activation(self(x)) in training, which for its gradient is computed again from x."""
        out, mean, var = fused_norm.normalize(
            x, self.scale[...], self.bias[...], self.epsilon, activation
        )
        self._update(mean, var)
        return out.astype(self.dtype or x.dtype)

    @jax.named_scope("batch_norm")
    def of_pointwise(self, conv: Conv, x: jax.Array) -> jax.Array:
        """Returns self(conv(x)) in training, for a 1x1 convolution without bias or padding, as one kernel."""
        (x,) = conv.promote_dtype((x,), dtype=conv.dtype)
        height, width = cast(tuple[int, int], conv.strides)
        out, mean, var = fused_norm.normalized_pointwise(
            x[:, ::height, ::width],
            conv.kernel[0, 0].astype(widened(x.dtype)),
            self.scale[...],
            self.bias[...],
            self.epsilon,
        )
        self._update(mean, var)
        return out.astype(self.dtype or out.dtype)

    def inference_map(self) -> tuple[jax.Array, jax.Array]:
        """Returns what each channel is multiplied by and then shifted by in inference, [features]."""
        return self._map(self.mean[...], self.var[...])

    def _map(self, mean: jax.Array, var: jax.Array) -> tuple[jax.Array, jax.Array]:
        multiplier = self.scale[...] * lax.rsqrt(var + self.epsilon)
        return multiplier, self.bias[...] - mean * multiplier

    def _update(self, mean: jax.Array, var: jax.Array) -> None:
        # `self.mean[...] = ...` asks a tracer for its sharding, in time quadratic in the depth.
        self.mean.set_value(self._running(self.mean[...], mean))
        self.var.set_value(self._running(self.var[...], var))

    def _running(self, old: jax.Array, new: jax.Array) -> jax.Array:
        return self.momentum * old + (1 - self.momentum) * new


class ConvNorm(Layer):
    """A convolution without bias, then batch norm and ReLU: `conv` and `bn` of torchvision's two Inceptions."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        strides: int = 1,
        padding: int | tuple[int, int] | Same = 0,
        kernel_init: Initializer | None = None,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            inputs,
            outputs,
            kernel,
            strides=strides,
            padding=padding,
            use_bias=False,
            kernel_init=kernel_init,
            dtype=dtype,
            rngs=rngs,
        )
        self.bn = BatchNorm(outputs, epsilon=1e-3, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        return normalized(self.conv, self.bn, x, mode, relu)


def normalized(
    conv: Conv, norm: BatchNorm, x: jax.Array, mode: Mode, activation: Activation | None = None
) -> jax.Array:
    """Returns activation(norm(conv(x))), in a form that takes fewer passes if `mode.fold` is set."""
    if mode.fold and not mode.train:
        out = conv.mapped(x, *norm.inference_map())
    elif mode.fold and _folds_in_training(conv, x):
        out = norm.of_pointwise(conv, x)
    elif mode.fold and activation is not None:
        return norm.activated(conv(x), activation)
    else:
        out = norm(conv(x), mode)
    return out if activation is None else activation(out)


def _folds_in_training(conv: Conv, x: jax.Array) -> bool:
    """Returns whether `fused_norm.normalized_pointwise` applies, and saves bytes.

    In float32 accelerators round the factors of a product, so that statistics would be those of other numbers.
    """
    return (
        conv.kernel_size == (1, 1)
        and conv.padding in ("SAME", ((0, 0), (0, 0)))
        and conv.feature_group_count == 1
        and conv.bias is None
        and conv.out_features >= 2 * conv.in_features
        and jnp.dtype(conv.dtype or x.dtype).itemsize == 2
    )


class Dropout(Layer):
    """Sets each element to 0 with probability `rate` in training and scales the rest by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        if not 0 <= rate < 1:
            raise ModelError(
                f"a dropout rate is a number from 0 up to, but not including, 1, not {rate}."
            )
        self.rate = rate

    @jax.named_scope("dropout")
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        if not mode.train or self.rate == 0:
            return x
        if mode.rngs is None:
            raise ValueError("training with dropout needs Mode(rngs=nnx.Rngs(...))")
        keep = jax.random.bernoulli(mode.rngs.dropout(), 1 - self.rate, x.shape)
        return jnp.where(keep, x / (1 - self.rate), jnp.zeros((), x.dtype))


@jax.custom_jvp
def relu(x: jax.Array) -> jax.Array:
    """Returns max(x, 0), whose derivative is 0 at 0.

    Unlike that of `jax.nn.relu`, the derivative is told from the output, which the next layer keeps anyway: the input
    need not be kept, and on a GPU is never written where a convolution makes it.
    """
    with jax.named_scope("relu"):
        return jnp.maximum(x, 0)


@relu.defjvp
def _change_of_relu(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x,), (change,) = primals, tangents
    out = relu(x)
    # XLA would make x > 0 of out > 0.
    return out, jnp.where(out != 0, change, jnp.zeros((), change.dtype))


def relu6(x: jax.Array) -> jax.Array:
    """Returns x clipped to 0..6.

    On an accelerator its derivative at 0 and at 6 is 0, as in PyTorch, and on a CPU one half.
    """
    return _relu6(x) if platform.is_accelerator() else jax.nn.relu6(x)


@jax.custom_jvp
def _relu6(x: jax.Array) -> jax.Array:
    return jax.nn.relu6(x)


@_relu6.defjvp
def _change_of_relu6(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x,), (change,) = primals, tangents
    return _relu6(x), jnp.where((x > 0) & (x < 6), change, jnp.zeros((), change.dtype))


# What `BatchNorm.activated` computes again: elementwise functions.
_ACTIVATIONS: tuple[Activation, ...] = (relu, relu6, jax.nn.hard_swish)


def _begins(layers: Sequence[Callable[..., jax.Array]], kind: type) -> bool:
    return bool(layers) and isinstance(layers[0], kind)


def _activation_of(layers: list[Callable[..., jax.Array]]) -> Activation | None:
    """Returns the first layer, which is taken from the list, if it is an activation."""
    if layers and any(layers[0] is activation for activation in _ACTIVATIONS):
        return layers.pop(0)
    return None


def flatten(x: jax.Array) -> jax.Array:
    """Returns [batch, channels * height * width] in PyTorch's order, channels first, which its dense weights expect."""
    return jnp.transpose(x, (0, 3, 1, 2)).reshape(x.shape[0], -1)


def _both_sides(padding: int | tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    height, width = _pair(padding)
    return (height, height), (width, width)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    height, width = value
    return height, width
