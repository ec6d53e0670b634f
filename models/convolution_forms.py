"""The same convolution written in several ways, of which XLA's CPU backend compiles some well and some badly.

Each form is a function of inputs [batch, height, width, channels] and a kernel [height, width, channels / groups,
features], linear in each: its transposes, which differentiation makes of it, are the gradients. So a form is chosen
for an output, or for the gradient that its transpose computes.

* `xla`: XLA's convolution. Its output is as fast as a matrix product, and so is the gradient of the inputs at stride 1;
  the other gradients often are not.
* `patches`: what the kernel sees at each place, side by side ("im2col"), times the reshaped kernel. A 1x1 kernel is one
  matrix product.
* `pictures`: the same for a few pictures at a time, or for strips of one, so that their patches stay in a cache.
* `winograd`: for 3x3 kernels at stride 1. Four outputs at a time take 16 products where the sum takes 36, by adding
  inputs, and kernel, beforehand and products afterwards: F(2x2, 3x3) of Lavin and Gray 2016, "Fast Algorithms for
  Convolutional Neural Networks", section 4.1. A few pictures at a time, so that what is added stays in a cache.
* `transposed_winograd`: the transpose of a `winograd`, for the gradient of the inputs, which transposes it again.
* `depthwise`: for kernels that see one channel each, a sum of shifted products, one for each place of the kernel.
* `depthwise_pictures`: the same for a few pictures at a time.
* `transposed_depthwise`: the transpose of a `depthwise`, for the gradient of the inputs, which transposes it again: a
  sum of shifted products, too, one for each remainder of an input's place by the strides.

A place of the kernel that meets nothing but padding is left out.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import export, lax

Pads = tuple[tuple[int, int], tuple[int, int]]

_NHWC = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
# What is worked on at a time, where pictures are taken a few at a time: of patches, and of the sums of inputs of a
# `winograd`, which are read but once.
_CACHE_BYTES = 4 * 2**20
_WINOGRAD_BYTES = 32 * 2**20
# `depthwise_pictures` writes a shifted copy of its inputs for each place, too.
_DEPTHWISE_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Window:
    """How the kernel moves.

    Attributes:
      strides: along height and width.
      pads: zeros before and after, along height and width; negative ones crop.
      groups: into how many the channels are divided.
      precision: of the products.
    """

    strides: tuple[int, int]
    pads: Pads
    groups: int = 1
    precision: lax.PrecisionLike = None

    def output_size(self, inputs: Sequence[int], kernel: Sequence[int]) -> tuple[int, int]:
        """Returns the output's height and width for the shapes of inputs and kernel."""
        height, width = (
            (size + sum(pad) - extent) // stride + 1
            for size, extent, stride, pad in zip(
                inputs[1:3], kernel[:2], self.strides, self.pads, strict=True
            )
        )
        return height, width


Form = Callable[[jax.Array, jax.Array, Window], jax.Array]


def xla(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    return lax.conv_general_dilated(
        inputs,
        kernel,
        window_strides=window.strides,
        padding=window.pads,
        dimension_numbers=_NHWC,
        feature_group_count=window.groups,
        precision=window.precision,
    )


def patches(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    places, slices = zip(*_shifted_slices(inputs, kernel.shape, window), strict=True)
    seen = _seen(kernel, places)
    side_by_side = jnp.concatenate(slices, axis=-1) if len(slices) > 1 else slices[0]
    features = kernel.shape[-1]
    flat = side_by_side.reshape(-1, side_by_side.shape[-1]) @ seen.reshape(-1, features)
    return flat.reshape(*side_by_side.shape[:-1], features)


def pictures(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    height, width = window.output_size(inputs.shape, kernel.shape)
    row_values = width * math.prod(kernel.shape[:3])
    strips = -(-height * row_values * inputs.dtype.itemsize // _CACHE_BYTES)
    if strips == 1:
        return _few_at_a_time(patches, height * row_values, inputs, kernel, window)
    # A picture's patches are too many: strips of it, which overlap by what the kernel sees beyond its own rows.
    rows = -(-height // strips)
    strips = -(-height // rows)
    stride, extent = window.strides[0], kernel.shape[0]
    bottom = (rows * strips - 1) * stride + extent - inputs.shape[1] - window.pads[0][0]
    padded = _pad(inputs, ((window.pads[0][0], bottom), window.pads[1]))
    batch, _, wide, channels = padded.shape
    tall = (rows - 1) * stride + extent
    parts = jnp.stack(
        [
            lax.slice_in_dim(padded, first, first + tall, axis=1)
            for first in range(0, rows * strips * stride, rows * stride)
        ],
        axis=1,
    ).reshape(batch * strips, tall, wide, channels)
    in_parts = dataclasses.replace(window, pads=((0, 0), (0, 0)))
    outputs = _few_at_a_time(patches, rows * row_values, parts, kernel, in_parts)
    return outputs.reshape(batch, rows * strips, width, -1)[:, :height]


def winograd(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    return _winograd(inputs, kernel, window, channel_axis=0)


def transposed_winograd(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    height, width = window.output_size(inputs.shape, kernel.shape)
    (top, bottom), (left, right) = window.pads
    back = dataclasses.replace(window, pads=((2 - top, 2 - bottom), (2 - left, 2 - right)))
    outputs = jax.ShapeDtypeStruct((inputs.shape[0], height, width, kernel.shape[3]), inputs.dtype)
    transposed = jax.linear_transpose(
        lambda outputs: _winograd(outputs, kernel[::-1, ::-1], back, channel_axis=1), outputs
    )
    return cast(jax.Array, transposed(inputs)[0])


def _winograd(
    inputs: jax.Array, kernel: jax.Array, window: Window, *, channel_axis: int
) -> jax.Array:
    """Returns the convolution with a kernel [3, 3, channels, features], or [3, 3, features, channels].

    Args:
      inputs, kernel, window: see above.
      channel_axis: which of the kernel's last two axes is that of the inputs' channels.
    """
    height, width = window.output_size(inputs.shape, kernel.shape)
    # An odd output is one row, or column, of zeros short of whole tiles.
    tiles = _Tiles(-(-height // 2), -(-width // 2), channel_axis, window.precision)
    (top, _), (left, _) = window.pads
    bottom = 2 * tiles.rows + 2 - inputs.shape[1] - top
    right = 2 * tiles.columns + 2 - inputs.shape[2] - left
    padded = _pad(inputs, ((top, bottom), (left, right)))
    batch, tall, wide, channels = padded.shape
    by_place = padded.reshape(batch, tall // 2, 2, wide // 2, 2, channels)
    factors = [_kernel_sums(row) for row in _kernel_sums(kernel)]

    def output_of(part: jax.Array, factors: Sequence[Sequence[jax.Array]]) -> jax.Array:
        return _tiled_products(part, factors, tiles)

    values = 16 * tiles.rows * tiles.columns * max(kernel.shape[2:])
    outputs = _in_parts(
        output_of, by_place, factors, values * inputs.dtype.itemsize, _WINOGRAD_BYTES
    )
    return outputs.reshape(batch, 2 * tiles.rows, 2 * tiles.columns, -1)[:, :height, :width]


@dataclasses.dataclass(frozen=True)
class _Tiles:
    """How the output divides into tiles of 2x2 pixels.

    Attributes:
      rows, columns: of tiles.
      channel_axis: of the two axes of a sum of the kernel, the one to sum over.
      precision: of the products.
    """

    rows: int
    columns: int
    channel_axis: int
    precision: lax.PrecisionLike


def _tiled_products(
    inputs: jax.Array, factors: Sequence[Sequence[jax.Array]], tiles: _Tiles
) -> jax.Array:
    """Returns [batch, rows, 2, columns, 2, features], pixels by tile.

    Args:
      inputs: [batch, rows + 1, 2, columns + 1, 2, channels], pixels by tile and, in the last place, half a tile more.
      factors: the sums of the kernel, four by four of [channels, features].
      tiles: how many there are.
    """
    rows, columns = tiles.rows, tiles.columns
    # A tile of 2x2 outputs sees 4x4 inputs: its own and the first half of its neighbors'.
    sums = _input_sums([inputs[:, at // 2 : at // 2 + rows, at % 2] for at in range(4)])
    products = []
    for row_sum, row_factors in zip(sums, factors, strict=True):
        seen = _input_sums([row_sum[:, :, at // 2 : at // 2 + columns, at % 2] for at in range(4)])
        products.append(
            [
                lax.dot_general(
                    each.reshape(-1, each.shape[-1]),
                    factor,
                    (((1,), (tiles.channel_axis,)), ((), ())),
                    precision=tiles.precision,
                )
                for each, factor in zip(seen, row_factors, strict=True)
            ]
        )
    by_row = [_output_sums(column) for column in zip(*products, strict=True)]
    outputs = [_output_sums(row) for row in zip(*by_row, strict=True)]
    whole = (-1, rows, columns, outputs[0][0].shape[-1])
    across = [jnp.stack([each.reshape(whole) for each in row], axis=3) for row in outputs]
    return jnp.stack(across, axis=2)


# The three transforms of F(2, 3) along one axis.
def _input_sums(seen: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    return seen[0] - seen[2], seen[1] + seen[2], seen[2] - seen[1], seen[1] - seen[3]


def _kernel_sums(kernel: jax.Array) -> tuple[jax.Array, ...]:
    first, middle, last = kernel
    return first, (first + middle + last) / 2, (first - middle + last) / 2, last


def _output_sums(products: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
    first, second, third, fourth = products
    return first + second + third, second - third - fourth


def depthwise_pictures(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    values = math.prod(inputs.shape[1:])
    return _few_at_a_time(depthwise, values, inputs, kernel, window, _DEPTHWISE_BYTES)


def _few_at_a_time(
    form: Form,
    values: int,
    inputs: jax.Array,
    kernel: jax.Array,
    window: Window,
    cache_bytes: int = _CACHE_BYTES,
) -> jax.Array:
    """Returns a form's output, computed for so many pictures at a time as a cache holds.

    Args:
      form: the form.
      values: how many it makes, or reads again and again, for each picture.
      inputs, kernel, window: the form's arguments.
      cache_bytes: what the cache holds.
    """

    def output_of(part: jax.Array, kernel: jax.Array) -> jax.Array:
        return form(part, kernel, window)

    return _in_parts(output_of, inputs, kernel, values * inputs.dtype.itemsize, cache_bytes)


def _in_parts(
    output_of: Callable[[jax.Array, Any], jax.Array],
    inputs: jax.Array,
    weights: Any,
    picture_bytes: int,
    cache_bytes: int,
) -> jax.Array:
    """Returns a function's outputs [batch, ...], computed for a few pictures at a time.

    Args:
      output_of: a function of some pictures and the weights.
      inputs: [batch, ...].
      weights: arrays in any structure.
      picture_bytes: what the function makes, or reads again and again, for each picture.
      cache_bytes: how much of it there may be at a time. Of a batch that is only known later, there is all.
    """
    batch = inputs.shape[0]
    if export.is_symbolic_dim(batch):
        return output_of(inputs, weights)
    at_a_time = min(batch, max(1, cache_bytes // picture_bytes))
    while batch % at_a_time:
        at_a_time -= 1
    if at_a_time == 1:
        # Had each part an axis for its one picture, XLA would compute the place of every value it reads.
        return _mapped(
            lambda picture, weights: output_of(picture[None], weights)[0], inputs, weights
        )
    parts = inputs.reshape(batch // at_a_time, at_a_time, *inputs.shape[1:])
    outputs = _mapped(output_of, parts, weights)
    return outputs.reshape(batch, *outputs.shape[2:])


def _mapped(
    output_of: Callable[[jax.Array, Any], jax.Array], parts: jax.Array, weights: Any
) -> jax.Array:
    # Differentiated, it makes again what it makes: kept, that would be as large as all together.
    again = jax.checkpoint(output_of, prevent_cse=False)
    _, outputs = lax.scan(lambda _, part: (None, again(part, weights)), None, parts)
    return cast(jax.Array, outputs)


def depthwise(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    products = (
        shifted * kernel[row, column, 0]
        for (row, column), shifted in _shifted_slices(inputs, kernel.shape, window)
    )
    return cast(jax.Array, sum(products))


def transposed_depthwise(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    height, width = window.output_size(inputs.shape, kernel.shape)
    outputs = jax.ShapeDtypeStruct((inputs.shape[0], height, width, kernel.shape[3]), inputs.dtype)
    size = inputs.shape[1:3]
    transposed = jax.linear_transpose(
        lambda outputs: _depthwise_input_gradient(outputs, kernel, window, size), outputs
    )
    return cast(jax.Array, transposed(inputs)[0])


def _depthwise_input_gradient(
    outputs: jax.Array, kernel: jax.Array, window: Window, size: Sequence[int]
) -> jax.Array:
    """Returns the gradient of the inputs [batch, *size, channels], given that of a `depthwise` output."""
    steps = [range(stride) for stride in window.strides]
    # An input meets every stride-th row and column of the kernel. Its remainder by the stride says which.
    rows = [
        jnp.stack(
            [_met_gradient(outputs, kernel, window, size, (row, column)) for column in steps[1]], 3
        )
        for row in steps[0]
    ]
    met = jnp.stack(rows, axis=2)
    batch, high, down, wide, across, channels = met.shape
    gradient = met.reshape(batch, high * down, wide * across, channels)
    return gradient[:, : size[0], : size[1]]


def _met_gradient(
    outputs: jax.Array,
    kernel: jax.Array,
    window: Window,
    size: Sequence[int],
    step: tuple[int, int],
) -> jax.Array:
    """Returns the gradients of every stride-th input, down and across, from the place `step` on."""
    firsts, pads = [], []
    for axis in (0, 1):
        stride, before = window.strides[axis], window.pads[axis][0]
        # Row `first + n * stride` of the kernel brings an input to the output `shift - n` rows down.
        shift, first = divmod(step[axis] + before, stride)
        extent = len(range(first, kernel.shape[axis], stride))
        low = extent - 1 - shift
        high = -(-size[axis] // stride) + extent - 1 - low - outputs.shape[1 + axis]
        firsts.append(first)
        pads.append((low, high))
    met = kernel[firsts[0] :: window.strides[0], firsts[1] :: window.strides[1]]
    if 0 in met.shape:
        whole = [-(-extent // stride) for extent, stride in zip(size, window.strides, strict=True)]
        return jnp.zeros((outputs.shape[0], *whole, outputs.shape[3]), outputs.dtype)
    back = Window((1, 1), (pads[0], pads[1]), window.groups, window.precision)
    return depthwise(outputs, met[::-1, ::-1], back)


def _shifted_slices(
    inputs: jax.Array, kernel: Sequence[int], window: Window
) -> Iterator[tuple[tuple[int, int], jax.Array]]:
    """Yields ((row, column) of a place of the kernel, the inputs that it meets [batch, height, width, channels])."""
    batch, height, width, channels = inputs.shape
    out_height, out_width = window.output_size(inputs.shape, kernel)
    strides, pads = window.strides, window.pads
    padded = _pad(inputs, pads)
    for row in _places(height, kernel[0], strides[0], pads[0], out_height):
        for column in _places(width, kernel[1], strides[1], pads[1], out_width):
            stop = (
                batch,
                row + (out_height - 1) * strides[0] + 1,
                column + (out_width - 1) * strides[1] + 1,
                channels,
            )
            yield (row, column), lax.slice(padded, (0, row, column, 0), stop, (1, *strides, 1))


def _places(size: int, kernel: int, stride: int, pad: tuple[int, int], out: int) -> range:
    """Returns the kernel's places along one axis that meet at least one pixel."""
    touches = [
        place
        for place in range(kernel)
        if place < pad[0] + size and place + (out - 1) * stride >= pad[0]
    ]
    return range(touches[0], touches[-1] + 1)


def _seen(kernel: jax.Array, places: Sequence[tuple[int, int]]) -> jax.Array:
    """Returns the part of the kernel at these places, which form a rectangle."""
    (first_row, first_column), (last_row, last_column) = places[0], places[-1]
    return kernel[first_row : last_row + 1, first_column : last_column + 1]


def _pad(inputs: jax.Array, pads: Pads) -> jax.Array:
    if pads == ((0, 0), (0, 0)):
        return inputs
    config = ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0))
    return lax.pad(inputs, jnp.zeros((), inputs.dtype), config)


FORMS: dict[str, Form] = {
    each.__name__: each
    for each in (
        xla,
        patches,
        pictures,
        winograd,
        transposed_winograd,
        depthwise,
        depthwise_pictures,
        transposed_depthwise,
    )
}
