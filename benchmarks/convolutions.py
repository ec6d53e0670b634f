"""Times each form of a convolution on the CPU, for its output and for both gradients, and checks which the rule takes.

    python -m benchmarks.convolutions
    python -m benchmarks.convolutions --batch_size=8 --large

The shapes are those of the architectures at 32x32 pixels, or with `--large` at 224x224. `models.convolution` takes the
form marked with a star; the forms are explained in `models/convolution_forms.py`. The forms of a row are timed in
turns, and a row's last column says how much faster the fastest was than the one that is taken: above 1.2 on a quiet
machine, another rule would be better there.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks.cli import command
from benchmarks.machine import startup, timing
from isobudget import terminal
from models.convolution import Forms, cpu_forms
from models.convolution_forms import FORMS, Form, Window

# side, input channels, output channels, kernel, stride, padding, groups
_Shape = tuple[int, int, int, int, int, int, int]
_SMALL: tuple[_Shape, ...] = (
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
_LARGE: tuple[_Shape, ...] = (
    (224, 3, 64, 3, 1, 1, 1),
    (224, 64, 64, 3, 1, 1, 1),
    (112, 128, 128, 3, 1, 1, 1),
    (56, 256, 256, 3, 1, 1, 1),
    (28, 512, 512, 3, 1, 1, 1),
    (224, 3, 64, 7, 2, 3, 1),
    (224, 3, 64, 11, 4, 2, 1),
    (27, 64, 192, 5, 1, 2, 1),
    (56, 64, 64, 3, 1, 1, 1),
    (56, 128, 128, 3, 2, 1, 1),
    (14, 256, 256, 3, 1, 1, 1),
    (56, 64, 256, 1, 1, 0, 1),
    (56, 256, 512, 1, 2, 0, 1),
    (112, 32, 32, 3, 1, 1, 32),
    (112, 64, 64, 3, 2, 1, 64),
    (56, 128, 128, 3, 1, 1, 128),
    (14, 512, 512, 3, 1, 1, 512),
)
_TURNS = 5
# Each place of a kernel is a slice to compile.
_MAX_PLACES = 49


def forms_of(shape: _Shape) -> list[str]:
    """Returns the forms that can compute a shape's convolution."""
    kernel, stride, groups = shape[3], shape[4], shape[6]
    if groups > 1:
        return ["xla", "depthwise", "depthwise_pictures", "transposed_depthwise"]
    forms = ["xla", "patches", "pictures"] if kernel**2 <= _MAX_PLACES else ["xla"]
    if kernel == 3 and stride == 1:
        forms += ["winograd", "transposed_winograd"]
    return forms


def measure(shape: _Shape, batch_size: int) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yields (what is computed, the form that the rule takes, the milliseconds of each form: the median).

    What a network's convolution reads is made by others: its inputs, and the gradient of its output, by the passes of a
    batch norm and a ReLU, which XLA may compute again wherever they are read. So they are made here, too.
    """
    side, channels, features, extent, stride, padding, groups = shape
    window = Window((stride, stride), ((padding, padding),) * 2, groups)
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (batch_size, side, side, channels))
    w = jax.random.normal(keys[1], (extent, extent, channels // groups, features))
    taken: Forms = cpu_forms(x.shape, x.dtype, w.shape, window)
    forms = {name: _moving(FORMS[name], window) for name in forms_of(shape)}
    output = jax.jit(forms["xla"])(x, w)
    rates = jnp.ones(channels), jnp.ones(features)

    def of_output(form: Callable[..., jax.Array]) -> Callable[[], jax.Array]:
        convolve = jax.jit(lambda x, w, rate: form(_normalized(x, rate), w))
        return lambda: convolve(x, w, rates[0])

    def of_inputs(form: Callable[..., jax.Array]) -> Callable[[], jax.Array]:
        def gradient(w: jax.Array, output: jax.Array, rate: jax.Array) -> jax.Array:
            return jax.vjp(lambda x: form(x, w), x)[1](_normalized(output, rate))[0]

        pull = jax.jit(gradient)
        return lambda: pull(w, output, rates[1])

    def of_kernel(form: Callable[..., jax.Array]) -> Callable[[], jax.Array]:
        def gradient(x: jax.Array, output: jax.Array, rate: jax.Array) -> jax.Array:
            return jax.vjp(lambda w: form(x, w), w)[1](_normalized(output, rate))[0]

        pull = jax.jit(gradient)
        return lambda: pull(x, output, rates[1])

    yield "output", taken.output, _in_turns({n: of_output(f) for n, f in forms.items()})
    yield (
        "inputs' gradient",
        taken.input_gradient,
        _in_turns({n: of_inputs(f) for n, f in forms.items()}),
    )
    yield (
        "kernel's gradient",
        taken.kernel_gradient,
        _in_turns({n: of_kernel(f) for n, f in forms.items()}),
    )


def _moving(form: Form, window: Window) -> Callable[..., jax.Array]:
    return lambda x, w: form(x, w, window)


def _normalized(values: jax.Array, rate: jax.Array) -> jax.Array:
    return jnp.where(values > 0, values * rate - rate * rate, 0)


def _in_turns(calls: dict[str, Callable[[], jax.Array]]) -> dict[str, float]:
    for call in calls.values():
        jax.block_until_ready(call())
    turns = [{name: timing.seconds(call) for name, call in calls.items()} for _ in range(_TURNS)]
    return {name: float(np.median([turn[name] for turn in turns])) * 1e3 for name in calls}


def define_flags() -> None:
    flags.DEFINE_integer("batch_size", 32, "The number of images in a batch.", lower_bound=1)
    flags.DEFINE_bool("large", False, "Time the shapes of 224x224 pixels, instead of 32x32.")


def main() -> None:
    startup.restart_with_allocator()
    batch_size = flags.FLAGS.batch_size
    names = tuple(FORMS)
    rows = []
    for shape in _LARGE if flags.FLAGS.large else _SMALL:
        side, channels, features, extent, stride, _, groups = shape
        facts = (side, channels, features, f"{extent}x{extent}", stride, groups)
        for part, taken, times in measure(shape, batch_size):
            cells = [
                f"{times[name]:.2f}{'*' if name == taken else ''}" if name in times else ""
                for name in names
            ]
            lost = times[taken] / min(times.values())
            rows.append((*map(str, facts), part, *cells, f"{lost:.1f}"))
    headings = ("side", "in", "out", "kernel", "stride", "groups", "part", *names, "lost")
    keys = headings[:7]
    terminal.print_table(terminal.console(), terminal.columns(headings, ("part",), keys), rows)


if __name__ == "__main__":
    command.run(main, define_flags)
