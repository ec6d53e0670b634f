"""Initial values of parameters: functions of (key, shape, dtype) for kernels [..., inputs, outputs], biases, scales.

NumPy draws the values, seeded by the JAX key, so nothing is compiled for each shape. Large tensors are drawn in
parallel, in blocks that each have their own seed, so the number of threads does not change them.
"""

import concurrent.futures
import contextlib
import contextvars
import math
import os
from collections.abc import Callable, Iterator
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

Shape = tuple[int, ...]
Initializer = Callable[..., jax.Array]

_BLOCK = 2**21

_shapes_only = contextvars.ContextVar("shapes_only", default=False)


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Makes initializers return `jax.ShapeDtypeStruct`s, and draw nothing, while it lasts."""
    token = _shapes_only.set(True)
    try:
        yield
    finally:
        _shapes_only.reset(token)


def zeros(key: jax.Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Returns zeros."""
    return constant(0.0)(key, shape, dtype)


def ones(key: jax.Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Returns ones."""
    return constant(1.0)(key, shape, dtype)


def constant(value: float) -> Initializer:
    """Returns an initializer that fills with `value`."""

    def initialize(key: jax.Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.Array:
        if _shapes_only.get():
            return cast(jax.Array, jax.ShapeDtypeStruct(shape, dtype))
        if isinstance(key, jax.core.Tracer):
            return jnp.full(shape, value, dtype)
        return jnp.asarray(np.full(shape, value, dtype))

    return initialize


def normal(stddev: float) -> Initializer:
    """Returns an initializer drawing from N(0, stddev^2)."""

    def fill(generator: np.random.Generator, block: np.ndarray) -> None:
        generator.standard_normal(dtype=np.float32, out=block)
        block *= np.float32(stddev)

    return _drawing(fill)


def uniform(limit: float) -> Initializer:
    """Returns an initializer drawing from U(-limit, limit)."""

    def fill(generator: np.random.Generator, block: np.ndarray) -> None:
        generator.random(dtype=np.float32, out=block)
        block *= np.float32(2 * limit)
        block -= np.float32(limit)

    return _drawing(fill)


def he_normal(key: jax.Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Returns values from N(0, 2 / fan_in) (He et al. 2015, arXiv:1502.01852, equation 10)."""
    return normal(math.sqrt(2 / math.prod(shape[:-1])))(key, shape, dtype)


def he_normal_fan_out(key: jax.Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Returns values from N(0, 2 / fan_out), torchvision's choice for convolutions (same paper, section 2.2)."""
    return normal(math.sqrt(2 / math.prod((*shape[:-2], shape[-1]))))(key, shape, dtype)


def xavier_uniform(key: jax.Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Returns values from U(-a, a), a = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16)."""
    area = math.prod(shape[:-2])
    return uniform(math.sqrt(6 / (area * (shape[-2] + shape[-1]))))(key, shape, dtype)


def _drawing(fill: Callable[[np.random.Generator, np.ndarray], None]) -> Initializer:
    def initialize(key: jax.Array, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.Array:
        def on_host(key_data: jax.Array) -> np.ndarray:
            seed = int.from_bytes(np.asarray(key_data, np.uint32).tobytes()[:16], "little")
            return _draw(seed, math.prod(shape), fill).reshape(shape).astype(dtype, copy=False)

        if _shapes_only.get():
            return cast(jax.Array, jax.ShapeDtypeStruct(shape, dtype))
        if isinstance(key, jax.core.Tracer):
            shape_and_dtype = jax.ShapeDtypeStruct(shape, dtype)
            return jax.pure_callback(on_host, shape_and_dtype, jax.random.key_data(key))
        return jnp.asarray(on_host(jax.random.key_data(key)))

    return initialize


def _draw(
    seed: int, size: int, fill: Callable[[np.random.Generator, np.ndarray], None]
) -> np.ndarray:
    values = np.empty(size, np.float32)

    def fill_block(index: int) -> None:
        sequence = np.random.SeedSequence(seed, spawn_key=(index,) if index else ())
        generator = np.random.Generator(np.random.SFC64(sequence))
        fill(generator, values[index * _BLOCK : (index + 1) * _BLOCK])

    blocks = range(math.ceil(size / _BLOCK))
    if len(blocks) <= 1:
        for index in blocks:
            fill_block(index)
    else:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(fill_block, blocks))
    return values
