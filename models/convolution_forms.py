"""The same convolution written in several ways, of which XLA's CPU backend compiles some well and some badly.

Each form is a function of inputs [batch, height, width, channels] and a kernel [height, width, channels / groups,
features], linear in each: its transposes, which differentiation makes of it, are the gradients. So a form is chosen
for an output, or for the gradient that its transpose computes.

* `xla`: XLA's convolution. Its output is as fast as a matrix product, and so is the gradient of the inputs at stride 1;
  the other gradients often are not.
* `patches`: what the kernel sees at each place, side by side ("im2col"), times the reshaped kernel. A 1x1 kernel is one
  matrix product.
* `pictures`: the same for a few pictures at a time, or for strips of one, so that their patches stay in a cache.
* `depthwise`: for kernels that see one channel each, a sum of shifted products, one for each place of the kernel.
* `depthwise_pictures`: the same for a few pictures at a time.

A place of the kernel that meets nothing but padding is left out.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import jax
import jax.numpy as jnp
from jax import lax

Pads = tuple[tuple[int, int], tuple[int, int]]

_NHWC = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
# What is worked on at a time, where pictures are taken a few at a time.
_CACHE_BYTES = 4 * 2**20


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


def depthwise_pictures(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    return _few_at_a_time(depthwise, math.prod(inputs.shape[1:]), inputs, kernel, window)


def _few_at_a_time(
    form: Form, values: int, inputs: jax.Array, kernel: jax.Array, window: Window
) -> jax.Array:
    """Returns a form's output, computed for so many pictures at a time as a cache holds.

    Args:
      form: the form.
      values: how many it makes, or reads again and again, for each picture.
      inputs, kernel, window: the form's arguments.
    """
    batch = inputs.shape[0]
    at_a_time = max(1, _CACHE_BYTES // (values * inputs.dtype.itemsize))
    while batch % at_a_time:
        at_a_time -= 1
    parts = inputs.reshape(batch // at_a_time, at_a_time, *inputs.shape[1:])

    # Differentiated, it makes the patches again: kept, they would be as large as all together.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def output_of(part: jax.Array, kernel: jax.Array) -> jax.Array:
        return form(part, kernel, window)

    _, outputs = lax.scan(lambda _, part: (None, output_of(part, kernel)), None, parts)
    return cast(jax.Array, outputs.reshape(batch, *outputs.shape[2:]))


def depthwise(inputs: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
    products = (
        shifted * kernel[row, column, 0]
        for (row, column), shifted in _shifted_slices(inputs, kernel.shape, window)
    )
    return cast(jax.Array, sum(products))


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
    each.__name__: each for each in (xla, patches, pictures, depthwise, depthwise_pictures)
}
