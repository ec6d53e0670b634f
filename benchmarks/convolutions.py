"""Times this project's CPU convolutions against XLA's, forward and backward, shape by shape in one run.

    python -m benchmarks.convolutions --batch_size=32

The shapes are those of the default suite at 32x32 pixels. A ratio above 1 means that `models.convolution` is faster.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import lax

from benchmarks.cli import command
from benchmarks.machine import startup, timing
from isobudget import terminal
from models import convolution

# side, input channels, output channels, kernel, stride, padding, groups
_SHAPES = (
    (32, 3, 64, 3, 1, 1, 1),
    (32, 64, 64, 3, 1, 1, 1),
    (16, 128, 128, 3, 1, 1, 1),
    (8, 256, 256, 3, 1, 1, 1),
    (4, 512, 512, 3, 1, 1, 1),
    (2, 512, 512, 3, 1, 1, 1),
    (1, 512, 512, 3, 1, 1, 1),
    (32, 3, 64, 7, 2, 3, 1),
    (64, 3, 64, 11, 4, 2, 1),
    (7, 64, 192, 5, 1, 2, 1),
    (8, 64, 256, 1, 1, 0, 1),
    (8, 256, 512, 1, 2, 0, 1),
    (8, 128, 128, 3, 2, 1, 1),
    (16, 64, 64, 3, 2, 1, 64),
    (8, 256, 256, 3, 1, 1, 256),
    (2, 512, 512, 3, 1, 1, 512),
)
_PASSES = 7


def measure(convolve: Callable[..., jax.Array], shape: tuple[int, ...], batch_size: int) -> float:
    """Returns the milliseconds of one forward and backward pass: the median over several."""
    side, inputs, outputs, kernel, stride, padding, groups = shape
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (batch_size, side, side, inputs))
    w = jax.random.normal(keys[1], (kernel, kernel, inputs // groups, outputs))

    @jax.jit
    def both(x, w):
        def total(x, w):
            y = convolve(
                x,
                w,
                (stride, stride),
                ((padding, padding),) * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=groups,
            )
            return jnp.vdot(y, y)

        return jax.grad(total, (0, 1))(x, w)

    seconds = timing.samples(lambda: both(x, w), at_least=_PASSES)
    return float(np.median(seconds)) * 1e3


def define_flags() -> None:
    flags.DEFINE_integer("batch_size", 32, "The number of images in a batch.", lower_bound=1)


def main() -> None:
    startup.restart_with_allocator()
    batch_size = flags.FLAGS.batch_size
    rows = []
    for shape in _SHAPES:
        xla = measure(lax.conv_general_dilated, shape, batch_size)
        ours = measure(convolution.conv_general_dilated, shape, batch_size)
        side, inputs, outputs, kernel, stride, _, groups = shape
        facts = (side, inputs, outputs, f"{kernel}x{kernel}", stride, groups)
        rows.append((*map(str, facts), f"{xla:.2f}", f"{ours:.2f}", f"{xla / ours:.1f}"))
    headings = ("side", "in", "out", "kernel", "stride", "groups", "XLA ms", "ours ms", "ratio")
    shape_of = headings[:6]
    terminal.print_table(terminal.console(), terminal.columns(headings, (), shape_of), rows)


if __name__ == "__main__":
    command.run(main, define_flags)
