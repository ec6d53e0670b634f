"""The few blocks that families share, and what every model of the suite is: a `Classifier`.

Every layer is called as `layer(x, mode)`, x being [batch, height, width, channels] or [batch, features]. The `Mode` says
whether the network trains, so that nothing depends on a hidden switch.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from models.convolution import conv_general_dilated

Initializer = Callable[..., jax.Array]


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a forward pass runs.

    Attributes:
      train: batch norm uses and updates batch statistics, dropout drops, auxiliary heads answer.
      rngs: the randomness of dropout; needed when training a model that has any.
    """

    train: bool = False
    rngs: nnx.Rngs | None = None


class Layer(nnx.Module):
    """A module that is called with (x, mode)."""


class Sequential(Layer):
    """Layers in order, held as attributes `0`, `1`, ... or by the names given, as torchvision's state dict has them.

    An entry is a `Layer` or a function of x alone.
    """

    def __init__(self, *layers: Callable, **named: Callable):
        entries = {str(index): layer for index, layer in enumerate(layers)} | named
        self.names = tuple(entries)
        for name, layer in entries.items():
            setattr(self, name, layer)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        return self._run(0, None, x, mode)

    def parts(
        self, names: Sequence[str], ends: Sequence[int]
    ) -> dict[str, Callable[[jax.Array, Mode], jax.Array]]:
        """Returns the stack cut before each index of `ends`, as functions of (x, mode) by the names given."""
        starts = (0, *ends[:-1])
        return {
            name: functools.partial(self._run, start, end)
            for name, start, end in zip(names, starts, ends, strict=True)
        }

    def _run(self, start: int, end: int | None, x: jax.Array, mode: Mode) -> jax.Array:
        for name in self.names[start:end]:
            layer = getattr(self, name)
            x = layer(x, mode) if isinstance(layer, Layer) else layer(x)
        return x


class Conv(nnx.Conv, Layer):
    """`nnx.Conv` with symmetric padding in pixels (an int or a pair), as PyTorch's Conv2d."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | tuple[int, int],
        *,
        strides: int = 1,
        padding: int | tuple[int, int] = 0,
        groups: int = 1,
        use_bias: bool = True,
        kernel_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dtype=None,
        rngs: nnx.Rngs,
    ):
        height, width = _pair(padding)
        super().__init__(
            in_features,
            out_features,
            _pair(kernel_size),
            strides=_pair(strides),
            padding=((height, height), (width, width)),
            feature_group_count=groups,
            use_bias=use_bias,
            kernel_init=kernel_init or he_normal,
            bias_init=bias_init or zeros,
            conv_general_dilated=conv_general_dilated,
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(self, x: jax.Array, mode: Mode | None = None) -> jax.Array:
        return super().__call__(x)


class Linear(nnx.Linear, Layer):
    """A dense layer on [batch, in_features]."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        kernel_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dtype=None,
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

    def __call__(self, x: jax.Array, mode: Mode | None = None) -> jax.Array:
        return super().__call__(x)


class BatchNorm(Layer):
    """Batch normalisation over all axes but the last (Ioffe and Szegedy 2015, algorithm 1).

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
        dtype=None,
        rngs: nnx.Rngs,
    ):
        key = rngs.params()
        self.scale = nnx.Param((scale_init or ones)(key, (features,), jnp.float32))
        self.bias = nnx.Param(zeros(key, (features,), jnp.float32))
        self.mean = nnx.BatchStat(zeros(key, (features,), jnp.float32))
        self.var = nnx.BatchStat(ones(key, (features,), jnp.float32))
        self.epsilon = epsilon
        self.momentum = momentum
        self.dtype = dtype

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        if mode.train:
            axes = tuple(range(x.ndim - 1))
            x32 = x.astype(jnp.float32)
            mean = jnp.mean(x32, axes)
            # E[x^2] - E[x]^2 takes one pass over x; rounding may bring it below 0.
            var = jnp.maximum(0.0, jnp.mean(lax.square(x32), axes) - lax.square(mean))
            self.mean[...] = self.momentum * self.mean[...] + (1 - self.momentum) * mean
            self.var[...] = self.momentum * self.var[...] + (1 - self.momentum) * var
        else:
            mean, var = self.mean[...], self.var[...]
        multiplier = self.scale[...] * lax.rsqrt(var + self.epsilon)
        shifted = self.bias[...] - mean * multiplier
        return (x * multiplier + shifted).astype(self.dtype or x.dtype)


class Dropout(Layer):
    """Sets each element to 0 with probability `rate` in training and scales the rest by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        self.rate = rate

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        if not mode.train or self.rate == 0:
            return x
        if mode.rngs is None:
            raise ValueError("training with dropout needs Mode(rngs=nnx.Rngs(...))")
        keep = jax.random.bernoulli(mode.rngs.dropout(), 1 - self.rate, x.shape)
        return jnp.where(keep, x / (1 - self.rate), jnp.zeros((), x.dtype))


class Classifier(Layer):
    """What every architecture is: named stages from images to features, then a classifier to logits.

    A family gives `stages` and `classify`, and says in `head` where its last layer is: a dotted attribute path, as in
    torchvision's state dict.

    Attributes:
      head: the path of the layer that makes the logits, which another number of classes replaces.
      auxiliary_weight: what the paper multiplies each auxiliary loss by.
    """

    head: str = "fc"
    auxiliary_weight: float = 0.0
    dtype: jnp.dtype | None = None

    def stages(self) -> Mapping[str, Callable[[jax.Array, Mode], jax.Array]]:
        """Returns, in order, each stage's function of (x, mode) by the stage's name."""
        raise TypeError(f"{type(self).__name__} defines no stages")

    def classify(self, features: jax.Array, mode: Mode) -> jax.Array:
        """Returns logits [batch, num_classes] from the last stage's output."""
        raise TypeError(f"{type(self).__name__} defines no classifier")

    def auxiliary_heads(self) -> Mapping[str, Layer]:
        """Returns the heads that answer in training only, by the stage whose output they read."""
        return {}

    def __call__(
        self, images: jax.Array, *, train: bool = False, rngs: nnx.Rngs | None = None
    ) -> jax.Array:
        """Returns float32 logits [batch, num_classes] of normalised images [batch, height, width, 3]."""
        return self.logits_and_auxiliary(images, train=train, rngs=rngs)[0]

    def logits_and_auxiliary(
        self, images: jax.Array, *, train: bool = False, rngs: nnx.Rngs | None = None
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Returns (logits, auxiliary logits), float32 [batch, num_classes]; the second is empty unless training."""
        mode = Mode(train=train, rngs=rngs)
        heads = self.auxiliary_heads() if train else {}
        auxiliary = []
        x = images.astype(self.dtype or images.dtype)
        for name, stage in self.stages().items():
            x = stage(x, mode)
            if name in heads:
                auxiliary.append(heads[name](x, mode).astype(jnp.float32))
        return self.classify(x, mode).astype(jnp.float32), tuple(auxiliary)

    def stage_outputs(self, images: jax.Array) -> dict[str, jax.Array]:
        """Returns each stage's output [batch, height, width, channels] by name, in evaluation mode."""
        mode = Mode()
        outputs = {}
        x = images.astype(self.dtype or images.dtype)
        for name, stage in self.stages().items():
            outputs[name] = x = stage(x, mode)
        return outputs


def relu(x: jax.Array) -> jax.Array:
    return jax.nn.relu(x)


def relu6(x: jax.Array) -> jax.Array:
    return jax.nn.relu6(x)


def flatten(x: jax.Array) -> jax.Array:
    """Returns [batch, channels * height * width] in PyTorch's order (channels first), so that its dense weights fit."""
    return jnp.transpose(x, (0, 3, 1, 2)).reshape(x.shape[0], -1)


def global_average_pool(x: jax.Array) -> jax.Array:
    """Returns [batch, channels], averaged in float32."""
    return jnp.mean(x, axis=(1, 2), dtype=jnp.float32).astype(x.dtype)


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """Max pooling over windows of `window` pixels; padding counts as minus infinity.

    `ceil_mode` lets a last window begin inside the picture and end outside it, as PyTorch defines it.
    """

    window: int
    stride: int
    padding: int = 0
    ceil_mode: bool = False

    def __call__(self, x: jax.Array) -> jax.Array:
        pads = tuple(self._pads(size) for size in x.shape[1:3])
        # As a tree of elementwise maxima: XLA's gradient of a windowed reduction is a serial scatter on the CPU.
        padded = lax.pad(
            x, jnp.array(-jnp.inf, x.dtype), ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0))
        )
        rows = self._slide(padded, axis=1)
        return self._slide(rows, axis=2)

    def _slide(self, x: jax.Array, axis: int) -> jax.Array:
        out = (x.shape[axis] - self.window) // self.stride + 1
        last = (out - 1) * self.stride + 1
        result = None
        for offset in range(self.window):
            shifted = lax.slice_in_dim(x, offset, offset + last, self.stride, axis)
            result = shifted if result is None else jnp.maximum(result, shifted)
        return result

    def _pads(self, size: int) -> tuple[int, int]:
        extra = 0
        if self.ceil_mode:
            over = (size + 2 * self.padding - self.window) % self.stride
            extra = (self.stride - over) % self.stride
            out = (size + 2 * self.padding - self.window + extra) // self.stride + 1
            if (out - 1) * self.stride >= size + self.padding:
                extra = 0
        return self.padding, self.padding + extra


@dataclasses.dataclass(frozen=True)
class AdaptiveAveragePool:
    """Averages to `size` x `size` whatever the input's size, with PyTorch's bins: [floor(i*n/s), ceil((i+1)*n/s))."""

    size: int

    def __call__(self, x: jax.Array) -> jax.Array:
        dtype = x.dtype
        for axis in (1, 2):
            length = x.shape[axis]
            if length == self.size:
                continue
            if length == 1:
                x = jnp.repeat(x, self.size, axis)
                continue
            bins = [
                lax.slice_in_dim(x, start, stop, axis=axis).mean(axis, dtype=jnp.float32)
                for start, stop in self._bins(length)
            ]
            x = jnp.stack(bins, axis)
        return x.astype(dtype)

    def _bins(self, length: int) -> list[tuple[int, int]]:
        return [
            (index * length // self.size, math.ceil((index + 1) * length / self.size))
            for index in range(self.size)
        ]


def zeros(key, shape, dtype=jnp.float32) -> jax.Array:
    return constant(0.0)(key, shape, dtype)


def ones(key, shape, dtype=jnp.float32) -> jax.Array:
    return constant(1.0)(key, shape, dtype)


def constant(value: float) -> Initializer:
    """Returns an initialiser that fills with `value`."""

    def initialise(key, shape, dtype=jnp.float32):
        if isinstance(key, jax.core.Tracer):
            return jnp.full(shape, value, dtype)
        return jnp.asarray(np.full(shape, value, dtype))

    return initialise


def normal(stddev: float) -> Initializer:
    """Returns an initialiser drawing from N(0, stddev^2)."""

    def initialise(key, shape, dtype=jnp.float32):
        return _draw(key, shape, dtype, lambda rng: rng.standard_normal(shape, np.float32) * stddev)

    return initialise


def uniform(limit: float) -> Initializer:
    """Returns an initialiser drawing from U(-limit, limit)."""

    def initialise(key, shape, dtype=jnp.float32):
        return _draw(key, shape, dtype, lambda rng: (rng.random(shape, np.float32) * 2 - 1) * limit)

    return initialise


def he_normal(key, shape, dtype=jnp.float32) -> jax.Array:
    """Draws from N(0, 2 / fan_in) (He et al. 2015, arXiv:1502.01852, equation 10)."""
    return normal(math.sqrt(2 / math.prod(shape[:-1])))(key, shape, dtype)


def he_normal_fan_out(key, shape, dtype=jnp.float32) -> jax.Array:
    """Draws from N(0, 2 / fan_out), torchvision's choice for convolutions (same paper, section 2.2)."""
    return normal(math.sqrt(2 / math.prod((*shape[:-2], shape[-1]))))(key, shape, dtype)


def xavier_uniform(key, shape, dtype=jnp.float32) -> jax.Array:
    """Draws from U(-a, a), a = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16)."""
    area = math.prod(shape[:-2])
    return uniform(math.sqrt(6 / (area * (shape[-2] + shape[-1]))))(key, shape, dtype)


def _draw(key, shape, dtype, draw: Callable[[np.random.Generator], np.ndarray]) -> jax.Array:
    """Draws with numpy, seeded by a JAX key: the same values on every platform, and nothing to compile for a shape."""

    def on_host(key_data) -> np.ndarray:
        generator = np.random.Generator(np.random.SFC64(_seed(key_data)))
        return draw(generator).astype(dtype)

    if isinstance(key, jax.core.Tracer):
        shape_and_dtype = jax.ShapeDtypeStruct(shape, dtype)
        return jax.pure_callback(on_host, shape_and_dtype, jax.random.key_data(key))
    return jnp.asarray(on_host(jax.random.key_data(key)))


def _seed(key_data) -> int:
    return int.from_bytes(np.asarray(key_data, np.uint32).tobytes()[:16], "little")


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
