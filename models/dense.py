"""The product of a dense layer, whose gradient is fast on the CPU backend for a small batch, too.

Of a few rows and a large kernel [in, out], XLA's CPU backend computes `rows @ kernel.T` much slower than the same
product turned around, `kernel @ rows.T`.
"""

import functools
from collections.abc import Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import export, lax
from jax.custom_derivatives import SymbolicZero

from models import platform

# For more rows there is hardly a difference.
_FEW_ROWS = 32


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns x @ kernel, for x [batch, in] and a kernel [in, out]."""
    if export.is_symbolic_dim(x.shape[0]) or x.shape[0] > _FEW_ROWS:
        return x @ kernel
    return platform.choose(x, kernel, cpu=_of_few_rows, default=jnp.matmul)


@jax.custom_jvp
def _of_few_rows(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return x @ kernel


# In reverse mode the change is transposed, which makes of it the gradient that is meant.
@functools.partial(_of_few_rows.defjvp, symbolic_zeros=True)
def _change(primals: Sequence[jax.Array], tangents: Sequence[Any]) -> tuple[jax.Array, jax.Array]:
    x, kernel = primals
    of_x, of_kernel = tangents
    output = _of_few_rows(x, kernel)
    changes = []
    if not isinstance(of_x, SymbolicZero):
        gradient = functools.partial(_input_gradient, kernel=kernel)
        changes.append(cast(jax.Array, jax.linear_transpose(gradient, output)(of_x)[0]))
    if not isinstance(of_kernel, SymbolicZero):
        changes.append(x @ of_kernel)
    return output, functools.reduce(jnp.add, changes) if changes else jnp.zeros_like(output)


def _input_gradient(output: jax.Array, kernel: jax.Array) -> jax.Array:
    turned = lax.dot_general(kernel, output, (((1,), (1,)), ((), ())))
    # Without the barrier, XLA would turn it around again.
    return lax.optimization_barrier(turned).T
