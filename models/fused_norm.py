"""Batch norm in training with fewer passes over the activations, for accelerators, which wait for their memory there.

`normalize` computes a layer's normalized and activated output again for its gradient, from what the convolution wrote.
`normalized_pointwise` never writes what a 1x1 convolution gives before batch norm: its statistics follow from those of
its input, so that batch norm becomes a part of the kernel. Both return (out, mean, var), statistics in float32, and
are the same as the plain form but for rounding. They have derivatives of any order, but in reverse mode only.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from models.convolution import conv_general_dilated
from models.windows import widened

Activation = Callable[[jax.Array], jax.Array]
# out [..., features], mean [features], var [features]
Normalized = tuple[jax.Array, jax.Array, jax.Array]


class Affine(NamedTuple):
    """A map of each channel, and the statistics that made it; [features] each, float32."""

    multiplier: jax.Array
    shift: jax.Array
    mean: jax.Array
    var: jax.Array


class _Folded(NamedTuple):
    """A 1x1 convolution with batch norm in it, kernel [inputs, features] and the rest [features], float32."""

    kernel: jax.Array
    shift: jax.Array
    mean: jax.Array
    var: jax.Array


class _Moments(NamedTuple):
    """The mean of each channel, [inputs], and of each product of two, [inputs, inputs]; float32."""

    mean: jax.Array
    products: jax.Array


def affine(
    mean: jax.Array, mean_square: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> Affine:
    """Returns batch norm's map, from the means of x and of x^2."""
    # E[x^2] - E[x]^2 takes one pass over x; rounding may bring it below 0.
    var = jnp.maximum(0.0, mean_square - lax.square(mean))
    multiplier = scale * lax.rsqrt(var + epsilon)
    return Affine(multiplier, bias - mean * multiplier, mean, var)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, activation: Activation
) -> Normalized:
    """Returns activation(batch norm of x [..., features]) in the dtype of x, and the statistics of x."""
    return _normalize(x, scale, bias, epsilon, activation)[0]


def _normalize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, activation: Activation
) -> tuple[Normalized, tuple[jax.Array, ...]]:
    axes = _all_but_last(x)
    wide = x.astype(widened(x.dtype))
    moments = jnp.mean(wide, axes), jnp.mean(lax.square(wide), axes)
    by = affine(*moments, scale, bias, epsilon)
    out = activation((wide * by.multiplier + by.shift).astype(x.dtype))
    return (out, by.mean, by.var), (x, *moments, scale, bias)


def _gradient_of_normalize(
    epsilon: float, activation: Activation, kept: tuple[jax.Array, ...], changes: Normalized
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, *small = kept
    change, change_of_mean, change_of_var = changes
    by, pull = jax.vjp(functools.partial(affine, epsilon=epsilon), *small)

    def before_activation(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        wide = x.astype(widened(x.dtype))
        mapped = (wide * by.multiplier + by.shift).astype(x.dtype)
        (inner,) = jax.vjp(activation, mapped)[1](change)
        return wide, inner.astype(wide.dtype)

    axes = _all_but_last(x)
    # Without the two barriers XLA would write out what it computes in the forward pass, and for the sums, which costs
    # more than to compute it again.
    x = lax.optimization_barrier(x)
    wide, inner = before_activation(x)
    sums = Affine(jnp.sum(inner * wide, axes), jnp.sum(inner, axes), change_of_mean, change_of_var)
    of_mean, of_mean_square, of_scale, of_bias = pull(sums)
    wide, inner = before_activation(lax.optimization_barrier(x))
    count = x.size // x.shape[-1]
    of_x = inner * by.multiplier + (of_mean + 2 * of_mean_square * wide) / count
    return of_x.astype(x.dtype), of_scale, of_bias


normalize.defvjp(_normalize, _gradient_of_normalize)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def normalized_pointwise(
    x: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> Normalized:
    """Returns batch norm of the 1x1 convolution of x [batch, height, width, inputs], and the statistics of that.

    With the means m and products P of the inputs' channels, the outputs' means are m K and their variances those of the
    diagonal of K^T (P - m m^T) K. The gradient takes a product with a matrix of [inputs, inputs] in place of two passes
    over the outputs, which are therefore worth it where there are more outputs than inputs.

    Args:
      kernel: [inputs, features], float32.
    """
    return _normalized_pointwise(x, kernel, scale, bias, epsilon)[0]


def _normalized_pointwise(
    x: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[Normalized, tuple[Any, ...]]:
    moments = _moments(x)
    folded = _fold(moments, kernel, scale, bias, epsilon, x.dtype)
    out = _pointwise(x, folded.kernel) + folded.shift.astype(x.dtype)
    return (out, folded.mean, folded.var), (x, moments, kernel, scale, bias)


def _gradient_of_pointwise(
    epsilon: float, kept: tuple[Any, ...], changes: Normalized
) -> tuple[jax.Array, ...]:
    x, *small = kept
    change, change_of_mean, change_of_var = changes
    folded, pull = jax.vjp(functools.partial(_fold, epsilon=epsilon, dtype=x.dtype), *small)
    of_shift = jnp.sum(change, _all_but_last(change), dtype=widened(change.dtype))
    of_kernel = _products(x, change)
    of_moments, of_kernel, of_scale, of_bias = pull(
        _Folded(of_kernel, of_shift, change_of_mean, change_of_var)
    )
    count = x.size // x.shape[-1]
    by_product = (of_moments.products + of_moments.products.T) / count
    correction = _pointwise(x, by_product) + (of_moments.mean / count).astype(x.dtype)
    return _pointwise(change, folded.kernel.T) + correction, of_kernel, of_scale, of_bias


normalized_pointwise.defvjp(_normalized_pointwise, _gradient_of_pointwise)


def _fold(
    moments: _Moments,
    kernel: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
    dtype: jnp.dtype,
) -> _Folded:
    """Returns the convolution with batch norm in it, its kernel rounded as `dtype` rounds."""
    mean = _product(moments.mean, kernel)
    covariance = moments.products - jnp.outer(moments.mean, moments.mean)
    var = jnp.maximum(0.0, jnp.sum(kernel * _product(covariance, kernel), 0))
    multiplier = scale * lax.rsqrt(var + epsilon)
    exact = kernel * multiplier
    kind = jnp.finfo(dtype)
    rounded = lax.reduce_precision(exact, kind.nexp, kind.nmant)
    # The outputs of the kernel that is used have mean 0 before the bias; its gradient is that of the exact one.
    folded = exact + lax.stop_gradient(rounded - exact)
    return _Folded(folded, bias - _product(moments.mean, folded), mean, var)


def _moments(x: jax.Array) -> _Moments:
    count = x.size // x.shape[-1]
    mean = jnp.mean(x, _all_but_last(x), dtype=widened(x.dtype))
    return _Moments(mean, _products(x, x) / count)


def _products(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the sums of the products of each channel of x with each of y, [channels of x, channels of y]."""
    axes = _all_but_last(x)
    # Otherwise XLA would make the activation before a part of the product, and write out what that is of as well.
    x, y = lax.optimization_barrier((x, y))
    return lax.dot_general(
        x,
        y,
        ((axes, axes), ((), ())),
        precision=lax.Precision.HIGHEST,
        preferred_element_type=widened(x.dtype),
    )


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


def _pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return conv_general_dilated(
        x,
        kernel[None, None].astype(x.dtype),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _all_but_last(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))
