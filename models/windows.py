"""Layers without parameters that look at a window: pooling and local response normalization.

All are made of slices and elementwise sums or maxima of x [batch, height, width, channels]. On the CPU, XLA's gradient
of a windowed reduction is a serial scatter; and a matrix product would be counted among a model's MACs. An accelerator
waits for its memory here, so there a maximum is taken in one pass, which keeps its place for the gradient's one pass.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from models import platform
from models.padding import Same, same_pads


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """Max pooling over windows of `window` pixels; padding counts as minus infinity.

    `padding` is a number of pixels on each side, or "SAME", as TensorFlow defines it. `ceil_mode` lets a last window
    begin inside the picture and end outside it, as PyTorch defines it. A picture smaller than a window is one window.

    Where several pixels are the largest, the gradient goes to the first of them on an accelerator, as in PyTorch, and
    on a CPU to all, in parts.
    """

    window: int
    stride: int
    padding: int | Same = 0
    ceil_mode: bool = False

    @jax.named_scope("max_pool")
    def __call__(self, x: jax.Array) -> jax.Array:
        return platform.choose(
            self._padded(x),
            cpu=self._by_axis,
            default=lambda x: _maximum_of_window(x, self.window, self.stride, -math.inf),
        )

    @jax.named_scope("max_pool")
    def of_relu(self, x: jax.Array) -> jax.Array:
        """Returns self(relu(x)) as accelerators take it, and the same gradient without a pass for ReLU's."""
        return _maximum_of_window(self._padded(x), self.window, self.stride, 0.0)

    def _padded(self, x: jax.Array) -> jax.Array:
        for axis in (1, 2):
            x = _pad(x, axis, *self._pads(x.shape[axis]), -jnp.inf)
        return x

    def _by_axis(self, x: jax.Array) -> jax.Array:
        for axis in (1, 2):
            x = _slide(x, axis, self.window, self.stride, jnp.maximum)
        return x

    def _pads(self, size: int) -> tuple[int, int]:
        if isinstance(self.padding, str):
            return same_pads(size, self.window, self.stride)
        extra = max(0, self.window - size - 2 * self.padding)
        if self.ceil_mode:
            over = (size + 2 * self.padding - self.window) % self.stride
            extra = (self.stride - over) % self.stride
            out = (size + 2 * self.padding - self.window + extra) // self.stride + 1
            if (out - 1) * self.stride >= size + self.padding:
                extra = 0
        return self.padding, self.padding + extra


@dataclasses.dataclass(frozen=True)
class AveragePool:
    """Average pooling over windows of `window` pixels, in float32.

    Padding counts as zeros, PyTorch's default, or with `count_padding=False` not at all, as in TensorFlow.
    """

    window: int
    stride: int
    padding: int = 0
    count_padding: bool = True

    @jax.named_scope("average_pool")
    def __call__(self, x: jax.Array) -> jax.Array:
        total = x.astype(widened(x.dtype))
        for axis in (1, 2):
            total = _pad(total, axis, self.padding, self.padding, 0.0)
            total = _slide(total, axis, self.window, self.stride, operator.add)
        if self.count_padding:
            return (total / self.window**2).astype(x.dtype)
        rows, columns = (self._pixels_seen(size) for size in x.shape[1:3])
        return (total / np.outer(rows, columns)[:, :, None].astype(total.dtype)).astype(x.dtype)

    def _pixels_seen(self, size: int) -> np.ndarray:
        """Returns how many pixels each window sees along a side of `size` pixels."""
        starts = np.arange(self.output_size(size)) * self.stride - self.padding
        return np.minimum(starts + self.window, size) - np.maximum(starts, 0)

    def output_size(self, size: int) -> int:
        """Returns how many windows fit along a side of `size` pixels, which is below 1 where none does."""
        return (size + 2 * self.padding - self.window) // self.stride + 1


@dataclasses.dataclass(frozen=True)
class AdaptiveAveragePool:
    """Averages over `size` x `size` bins whatever the input's size: PyTorch's, [floor(i*n/s), ceil((i+1)*n/s))."""

    size: int

    @jax.named_scope("average_pool")
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
                lax.slice_in_dim(x, start, stop, axis=axis).mean(axis, dtype=widened(x.dtype))
                for start, stop in self._bins(length)
            ]
            x = jnp.stack(bins, axis)
        return x.astype(dtype)

    def _bins(self, length: int) -> list[tuple[int, int]]:
        return [
            (index * length // self.size, math.ceil((index + 1) * length / self.size))
            for index in range(self.size)
        ]


@dataclasses.dataclass(frozen=True)
class LocalResponseNorm:
    """x / (k + alpha * sum of x^2 over `size` neighboring channels)^beta, in float32.

    AlexNet (Krizhevsky et al. 2012, section 3.3), where the sum is not divided by its length. Caffe and PyTorch divide
    it: their alpha is `size` times this one.
    """

    size: int
    alpha: float
    beta: float
    k: float

    @jax.named_scope("local_response_norm")
    def __call__(self, x: jax.Array) -> jax.Array:
        wide = x.astype(widened(x.dtype))
        half = self.size // 2
        squares = _pad(lax.square(wide), 3, half, self.size - 1 - half, 0.0)
        total = _slide(squares, 3, self.size, 1, operator.add)
        return (wide * (self.k + self.alpha * total) ** -self.beta).astype(x.dtype)


def widened(dtype: DTypeLike) -> jnp.dtype:
    """Returns the dtype in which to add up many values: float32, or `dtype` if that is wider."""
    return jnp.promote_types(dtype, jnp.float32)


def global_average_pool(x: jax.Array) -> jax.Array:
    """Returns [batch, channels], averaged in float32."""
    return jnp.mean(x, axis=(1, 2), dtype=widened(x.dtype)).astype(x.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _maximum_of_window(x: jax.Array, window: int, stride: int, least: float) -> jax.Array:
    largest = functools.reduce(lax.max, _places(x, window, stride))
    return largest if least == -math.inf else jnp.maximum(largest, least)


@_maximum_of_window.defjvp
def _change_of_maximum(
    window: int,
    stride: int,
    least: float,
    primals: tuple[jax.Array],
    tangents: tuple[jax.Array],
) -> tuple[jax.Array, jax.Array]:
    (x,), (change,) = primals, tangents
    places = _places(x, window, stride)
    # Counted from 0, or from 1 if there is a least value, whose place is 0 and gets no gradient.
    first = 0 if least == -math.inf else 1
    largest = jnp.full_like(next(_places(x, window, stride)), least) if first else next(places)
    place = jnp.zeros(largest.shape, jnp.uint8 if window <= 15 else jnp.uint32)
    for number, each in enumerate(places, 1):
        place = jnp.where(each > largest, number, place)
        largest = lax.max(largest, each)

    # Recomputed for the gradient from the places alone, instead of keeping a mask for each of them.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def at_place(place: jax.Array, change: jax.Array) -> jax.Array:
        chosen = (
            jnp.where(place == number, each, jnp.zeros((), each.dtype))
            for number, each in enumerate(_places(change, window, stride), first)
        )
        return functools.reduce(operator.add, chosen)

    return largest, at_place(place, change)


def _places(x: jax.Array, window: int, stride: int) -> Iterator[jax.Array]:
    """Yields what each place of the window sees, row by row, as wide as the output."""
    height, width = ((size - window) // stride * stride + 1 for size in x.shape[1:3])
    for row in range(window):
        for column in range(window):
            yield lax.slice(
                x,
                (0, row, column, 0),
                (x.shape[0], row + height, column + width, x.shape[3]),
                (1, stride, stride, 1),
            )


def _pad(x: jax.Array, axis: int, low: int, high: int, value: float) -> jax.Array:
    if low == high == 0:
        return x
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (low, high, 0)
    return lax.pad(x, jnp.array(value, x.dtype), pads)


def _slide(
    x: jax.Array,
    axis: int,
    window: int,
    stride: int,
    combine: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    out = (x.shape[axis] - window) // stride + 1
    stop = (out - 1) * stride + 1
    shifted = (lax.slice_in_dim(x, offset, offset + stop, stride, axis) for offset in range(window))
    return functools.reduce(combine, shifted)
