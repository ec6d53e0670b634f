"""Which platform a program is traced for, where the fast form of a layer depends on it.

`lax.platform_dependent` would leave the choice to the lowering, but its forms stay apart in a conditional, and what is
summed over devices is summed inside it. XLA's CPU backend gives no order to such sums: two processes then send each
other different ones at once, and gloo ends both.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import jax
from jax import lax

# Not one that computes: each layer is traced by itself, in its plain form, for those that read what a network is made
# of.
DESCRIPTION = "description"

_platforms: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar(
    "platforms", default=()
)


@contextlib.contextmanager
def traced_for(*platforms: str) -> Iterator[None]:
    """Within, programs are traced for these platforms (`cpu`, `cuda`, `rocm`, `tpu`) instead of the default backend.

    With several, the choice is left to the lowering. A function that was traced before keeps its form: `jax.jit` does
    not know of this choice.
    """
    token = _platforms.set(platforms)
    try:
        yield
    finally:
        _platforms.reset(token)


def current() -> tuple[str, ...]:
    """Returns the platforms that programs are traced for: the default backend, or what `traced_for` says."""
    return _platforms.get() or (jax.default_backend(),)


def is_accelerator() -> bool:
    """Returns whether programs are traced for accelerators alone."""
    return not {"cpu", DESCRIPTION}.intersection(current())


def choose(
    *operands: jax.Array,
    cpu: Callable[..., jax.Array],
    default: Callable[..., jax.Array],
    platforms: tuple[str, ...] | None = None,
) -> jax.Array:
    """Returns one of two forms of the same function of the operands: that for the CPU, or that for all others.

    Args:
      platforms: by default the current ones.
    """
    platforms = platforms or current()
    if "cpu" not in platforms:
        return default(*operands)
    if set(platforms) == {"cpu"}:
        return cpu(*operands)
    return lax.platform_dependent(*operands, cpu=cpu, default=default)
