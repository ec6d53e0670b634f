"""A 2-D convolution that is fast on every backend, for `nnx.Conv(conv_general_dilated=...)`.

Accelerators get `lax.conv_general_dilated`. On the CPU backend XLA's own convolution, or its gradients, can be up to
two orders of magnitude slower than the same sum in another form (`models/convolution_forms.py`). Which form is fastest
depends on the shape, and differs for the output, the gradient of the inputs and that of the kernel. The rule here was
measured, and `python -m benchmarks.convolutions` measures it again. For accelerators it says nothing: for which
platform a program is traced is known as it is traced (`models/platform.py`).
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import DTypeLike

from models import platform
from models.convolution_forms import FORMS, Window, xla

# Measured on two cores, float32, forward and backward: up to this many bytes of patches the matrix product wins;
# above it, writing them out costs more than XLA's convolution. Feature maps of at most 6x6 always win.
_MAX_PATCH_BYTES = 20 * 2**20
_ALWAYS_PATCHES_UP_TO = 6
# From this many bytes of patches of one picture, XLA's gradient of the kernel is the slower one, unless the picture has
# hardly any channels.
_LARGE_PICTURE_BYTES = 16 * 2**20
_FEW_CHANNELS = 4
# From this many bytes of inputs, the gradient of a depthwise kernel reads them from memory once for each of its places.
_LARGE_DEPTHWISE_BYTES = 3 * 2**20
# A `winograd` adds up the kernel, which pays from this many tiles of 2x2 outputs, and inputs and products, which pays
# from this many channels and features. Of a 3x3 feature map, half of what the tiles hold is padding.
# Compiling it takes longer, too, which a small convolution does not make good.
_WINOGRAD_TILES = 64
_WINOGRAD_CHANNELS = 24
_WINOGRAD_SIDE = 4
_WINOGRAD_MACS = 100e6
# If the sums of one picture's inputs are more than this, XLA's output is as fast.
_LARGE_WINOGRAD_BYTES = 32 * 2**20
# The batch size that the choice assumes in a program that is exported for any.
_EXPORTED_BATCH = 32
# Of a convolution in groups of several channels, XLA has each device of a mesh compute the whole batch. So a few groups
# are convolutions of their own.
_MOST_SPLIT_GROUPS = 8
# Each place of the kernel is a slice to compile: 11x11 kernels would take seconds.
_MAX_PLACES = 49

_NHWC = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))


class Forms(NamedTuple):
    """The names of the forms (`FORMS`) in which a convolution and its gradients are computed on the CPU."""

    output: str
    input_gradient: str
    kernel_gradient: str


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
    pads = [(int(low), int(high)) for low, high in padding]
    window = Window(
        (window_strides[0], window_strides[1]), (pads[0], pads[1]), feature_group_count, precision
    )
    convolved = functools.partial(_by_platform, platforms=platform.current())
    if kernel.shape[2] > 1 and 1 < feature_group_count <= _MOST_SPLIT_GROUPS:
        groups = zip(
            jnp.split(inputs, feature_group_count, axis=-1),
            jnp.split(kernel, feature_group_count, axis=-1),
            strict=True,
        )
        window = dataclasses.replace(window, groups=1)
        return jnp.concatenate([convolved(*each, window=window) for each in groups], axis=-1)
    return convolved(inputs, kernel, window=window)


# Under `jax.jit` a shape is traced, and differentiated, once, however often a network repeats it.
@functools.partial(jax.jit, static_argnames=("window", "platforms"))
def _by_platform(
    inputs: jax.Array, kernel: jax.Array, *, window: Window, platforms: tuple[str, ...]
) -> jax.Array:
    forms = cpu_forms(inputs.shape, inputs.dtype, kernel.shape, window)
    if forms == _same("xla"):
        return xla(inputs, kernel, window)
    return platform.choose(
        inputs,
        kernel,
        cpu=functools.partial(in_forms, forms=forms, window=window),
        default=functools.partial(xla, window=window),
        platforms=platforms,
    )


def in_forms(inputs: jax.Array, kernel: jax.Array, *, forms: Forms, window: Window) -> jax.Array:
    """Returns the convolution in one form, with gradients in others."""
    if len(set(forms)) == 1:
        return FORMS[forms.output](inputs, kernel, window)
    return _by_parts(inputs, kernel, forms, window)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _by_parts(inputs: jax.Array, kernel: jax.Array, forms: Forms, window: Window) -> jax.Array:
    return FORMS[forms.output](inputs, kernel, window)


# A form is linear in the inputs and in the kernel, so a change of either is a convolution again. In reverse mode, which
# transposes it, it is never computed itself: what is, is its transpose.
@functools.partial(_by_parts.defjvp, symbolic_zeros=True)
def _change_by_parts(
    forms: Forms, window: Window, primals: Sequence[jax.Array], tangents: Sequence[Any]
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = primals
    of_inputs, of_kernel = tangents
    output = _by_parts(inputs, kernel, forms, window)
    changes = []
    if not isinstance(of_inputs, SymbolicZero):
        changes.append(FORMS[forms.input_gradient](of_inputs, kernel, window))
    if not isinstance(of_kernel, SymbolicZero):
        # What it makes of the inputs on the way is made again for the gradient, not kept.
        form = jax.checkpoint(FORMS[forms.kernel_gradient], prevent_cse=False, static_argnums=(2,))
        changes.append(form(inputs, of_kernel, window))
    return output, functools.reduce(jnp.add, changes) if changes else jnp.zeros_like(output)


def _is_nhwc(
    inputs: jax.Array,
    kernel: jax.Array,
    dimension_numbers: lax.ConvGeneralDilatedDimensionNumbers,
) -> bool:
    numbers = lax.conv_dimension_numbers(inputs.shape, kernel.shape, dimension_numbers)
    return numbers == _NHWC


def cpu_forms(
    inputs: Sequence[int], dtype: DTypeLike, kernel: Sequence[int], window: Window
) -> Forms:
    """Returns the forms for the CPU backend.

    Args:
      inputs, kernel: the shapes.
      dtype: of the inputs.
      window: how the kernel moves.
    """
    kernel_height, kernel_width, group_channels, features = kernel
    batch = _EXPORTED_BATCH if export.is_symbolic_dim(inputs[0]) else inputs[0]
    height, width = window.output_size(inputs, kernel)
    places = kernel_height * kernel_width
    picture_bytes = height * width * places * group_channels * jnp.dtype(dtype).itemsize
    if window.groups > 1:
        if group_channels > 1 or window.groups != features:
            return _same("xla")
        input_bytes = batch * math.prod(inputs[1:]) * jnp.dtype(dtype).itemsize
        large = input_bytes >= _LARGE_DEPTHWISE_BYTES
        return Forms(
            "depthwise", "transposed_depthwise", "depthwise_pictures" if large else "depthwise"
        )
    if places > _MAX_PLACES:
        return _same("xla")
    if (kernel_height, kernel_width) == (3, 3) and window.strides == (1, 1):
        tiles = math.ceil(height / 2) * math.ceil(width / 2)
        sums_bytes = 16 * tiles * max(group_channels, features) * jnp.dtype(dtype).itemsize
        if (
            batch * height * width * places * group_channels * features >= _WINOGRAD_MACS
            and batch * tiles >= _WINOGRAD_TILES
            and min(group_channels, features) >= _WINOGRAD_CHANNELS
            and min(height, width) >= _WINOGRAD_SIDE
            and jnp.finfo(dtype).nmant >= jnp.finfo(jnp.float32).nmant
        ):
            if sums_bytes > _LARGE_WINOGRAD_BYTES:
                return Forms("xla", "xla", "winograd")
            return Forms("winograd", "transposed_winograd", "winograd")
    small = max(height, width) <= _ALWAYS_PATCHES_UP_TO
    if small or places == 1 or batch * picture_bytes <= _MAX_PATCH_BYTES:
        return _same("patches")
    if group_channels <= _FEW_CHANNELS:
        return _same("xla")
    strided = window.strides != (1, 1)
    large = picture_bytes >= _LARGE_PICTURE_BYTES
    return Forms(
        "xla",
        "pictures" if strided else "xla",
        "pictures" if strided or large else "xla",
    )


def _same(form: str) -> Forms:
    return Forms(form, form, form)
