"""A 2-D convolution that is fast on every backend, for `nnx.Conv(conv_general_dilated=...)`.

Accelerators get `lax.conv_general_dilated`. On the CPU backend XLA's own convolution is up to two orders of magnitude
slower than it could be for the small feature maps and depthwise kernels of these architectures. There the same sum is
written in a form that XLA compiles well:

* a 1x1 kernel as one matrix product;
* a depthwise kernel as a sum of shifted products, one for each of its taps;
* any other kernel, while its patches fit in a cache, as the shifted slices of the picture side by side ("im2col") times
  the reshaped kernel;
* the rest (large feature maps, large kernels, groups) as XLA's convolution.

A tap that sees nothing but padding is left out. The form depends on shapes and on the platform (`models/platform.py`).
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import export, lax
from jax.typing import DTypeLike

from models import platform

# Measured on two cores, float32, forward and backward: up to this many bytes of patches the matrix product wins;
# above it, writing them out costs more than XLA's convolution. Feature maps of at most 6x6 always win.
_MAX_PATCH_BYTES = 20 * 2**20
_ALWAYS_PATCHES_UP_TO = 6
# The batch size that the choice assumes in a program that is exported for any.
_EXPORTED_BATCH = 32
# Each tap is a slice to compile: 11x11 kernels would take seconds.
_MAX_TAPS = 49

_NHWC = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))

_Pairs = tuple[tuple[int, int], tuple[int, int]]


def conv_general_dilated(
    inputs: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    lhs_dilation: Sequence[int] = (1, 1),
    rhs_dilation: Sequence[int] = (1, 1),
    dimension_numbers: lax.ConvGeneralDilatedDimensionNumbers = None,
    feature_group_count: int = 1,
    precision: lax.PrecisionLike = None,
    out_sharding: Any = None,
) -> jax.Array:
    """Returns the convolution of inputs [batch, height, width, channels] with a kernel [height, width, in, out].

    The arguments are those of `jax.lax.conv_general_dilated`, which is called for dilations and for other layouts.
    """
    window_strides = tuple(window_strides)
    dilated = any(dilation != 1 for dilation in (*lhs_dilation, *rhs_dilation))
    nhwc = inputs.ndim == 4 and _is_nhwc(inputs, kernel, dimension_numbers)
    if dilated or not nhwc or out_sharding is not None:
        return lax.conv_general_dilated(
            inputs,
            kernel,
            window_strides=window_strides,
            padding=padding,
            lhs_dilation=lhs_dilation,
            rhs_dilation=rhs_dilation,
            dimension_numbers=dimension_numbers,
            feature_group_count=feature_group_count,
            precision=precision,
            out_sharding=out_sharding,
        )
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(inputs.shape[1:3], kernel.shape[:2], window_strides, padding)
    pads = tuple((int(low), int(high)) for low, high in padding)
    return _by_platform(
        inputs,
        kernel,
        strides=window_strides,
        pads=pads,
        groups=feature_group_count,
        precision=precision,
        platforms=platform.current(),
    )


# Under `jax.jit` a shape is traced, and differentiated, once, however often a network repeats it.
@functools.partial(jax.jit, static_argnames=("strides", "pads", "groups", "precision", "platforms"))
def _by_platform(
    inputs: jax.Array,
    kernel: jax.Array,
    *,
    strides: tuple[int, int],
    pads: _Pairs,
    groups: int,
    precision: lax.PrecisionLike,
    platforms: tuple[str, ...],
) -> jax.Array:
    accelerated = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=pads,
        dimension_numbers=_NHWC,
        feature_group_count=groups,
        precision=precision,
    )
    on_cpu = _cpu_form(inputs.shape, inputs.dtype, kernel.shape, strides, pads, groups)
    if on_cpu is None:
        return accelerated(inputs, kernel)
    return platform.choose(inputs, kernel, cpu=on_cpu, default=accelerated, platforms=platforms)


def _is_nhwc(
    inputs: jax.Array,
    kernel: jax.Array,
    dimension_numbers: lax.ConvGeneralDilatedDimensionNumbers,
) -> bool:
    numbers = lax.conv_dimension_numbers(inputs.shape, kernel.shape, dimension_numbers)
    return numbers == _NHWC


def _cpu_form(
    inputs_shape: Sequence[int],
    dtype: DTypeLike,
    kernel_shape: Sequence[int],
    strides: tuple[int, int],
    pads: _Pairs,
    groups: int,
) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
    """Returns the function of (inputs, kernel) to use on the CPU backend, or None where XLA's own is best."""
    kernel_height, kernel_width, group_inputs, features = kernel_shape
    out_height, out_width = _output_size(inputs_shape, kernel_shape, strides, pads)
    if groups > 1:
        depthwise = group_inputs == 1 and groups == features
        return functools.partial(_depthwise, strides=strides, pads=pads) if depthwise else None
    if kernel_height * kernel_width > _MAX_TAPS:
        return None
    batch = _EXPORTED_BATCH if export.is_symbolic_dim(inputs_shape[0]) else inputs_shape[0]
    patch_bytes = (
        batch * out_height * out_width * kernel_height * kernel_width * group_inputs
    ) * jnp.dtype(dtype).itemsize
    small = max(out_height, out_width) <= _ALWAYS_PATCHES_UP_TO
    pointwise = kernel_height == kernel_width == 1
    if small or pointwise or patch_bytes <= _MAX_PATCH_BYTES:
        return functools.partial(_patches_times_kernel, strides=strides, pads=pads)
    return None


def _output_size(
    inputs_shape: Sequence[int],
    kernel_shape: Sequence[int],
    strides: tuple[int, int],
    pads: _Pairs,
) -> tuple[int, int]:
    height, width = (
        (size + sum(pad) - kernel) // stride + 1
        for size, kernel, stride, pad in zip(
            inputs_shape[1:3], kernel_shape[:2], strides, pads, strict=True
        )
    )
    return height, width


def _taps(size: int, kernel: int, stride: int, pad: tuple[int, int], out: int) -> range:
    """Returns the kernel's positions along one axis that meet at least one pixel."""
    touches = [
        tap for tap in range(kernel) if tap < pad[0] + size and tap + (out - 1) * stride >= pad[0]
    ]
    return range(touches[0], touches[-1] + 1)


def _shifted_slices(
    inputs: jax.Array, kernel_shape: Sequence[int], strides: tuple[int, int], pads: _Pairs
) -> Iterator[tuple[tuple[int, int], jax.Array]]:
    """Yields ((row, column) of a tap, the inputs that it meets, [batch, out_height, out_width, channels])."""
    batch, height, width, channels = inputs.shape
    out_height, out_width = _output_size(inputs.shape, kernel_shape, strides, pads)
    padded = lax.pad(
        inputs, jnp.zeros((), inputs.dtype), ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0))
    )
    for row in _taps(height, kernel_shape[0], strides[0], pads[0], out_height):
        for column in _taps(width, kernel_shape[1], strides[1], pads[1], out_width):
            stop = (
                batch,
                row + (out_height - 1) * strides[0] + 1,
                column + (out_width - 1) * strides[1] + 1,
                channels,
            )
            yield (row, column), lax.slice(padded, (0, row, column, 0), stop, (1, *strides, 1))


def _patches_times_kernel(
    inputs: jax.Array, kernel: jax.Array, *, strides: tuple[int, int], pads: _Pairs
) -> jax.Array:
    taps, slices = zip(*_shifted_slices(inputs, kernel.shape, strides, pads), strict=True)
    patches = jnp.concatenate(slices, axis=-1) if len(slices) > 1 else slices[0]
    # The taps that remain form a rectangle, so they are one slice of the kernel.
    (first_row, first_column), (last_row, last_column) = taps[0], taps[-1]
    seen = kernel[first_row : last_row + 1, first_column : last_column + 1]
    features = kernel.shape[-1]
    flat = patches.reshape(-1, patches.shape[-1]) @ seen.reshape(-1, features)
    return flat.reshape(*patches.shape[:-1], features)


def _depthwise(
    inputs: jax.Array, kernel: jax.Array, *, strides: tuple[int, int], pads: _Pairs
) -> jax.Array:
    return cast(
        jax.Array,
        sum(
            shifted * kernel[row, column, 0]
            for (row, column), shifted in _shifted_slices(inputs, kernel.shape, strides, pads)
        ),
    )
