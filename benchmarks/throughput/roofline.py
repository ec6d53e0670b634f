"""How near a model comes to what its device can do: arithmetic and memory traffic, against rates measured here.

A step takes at least as long as its arithmetic at the rate of a large matrix product, and as long as its bytes at the
rate of a large copy (Williams et al. 2009, "Roofline").
"""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

import models
from benchmarks.config.setup import Setup
from benchmarks.machine import queued_steps, traffic
from benchmarks.runs.plan import count_train_macs
from benchmarks.throughput.ready_model import ReadyModel

# On a CPU smaller, so that it does not take minutes.
_MATRIX_SIDE = {"cpu": 2048}
_DEFAULT_MATRIX_SIDE = 8192
_COPIED_BYTES = {"cpu": 2**28}
_DEFAULT_COPIED_BYTES = 2**32
_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Roofline:
    """A step of training, or of inference, of one model, and its lower bounds.

    Attributes:
      kind: `train` or `infer`.
      device: its name.
      step_ms: milliseconds of a step, of many that are queued.
      flops: of a step; two for each multiply-accumulate of convolutions and dense layers.
      bytes_moved: of a step, by the compiled program's text (`machine.traffic`).
      peak_flops_per_second: of a product of two large matrices, measured.
      peak_bytes_per_second: of copying a large array, bytes read and bytes written, measured.
      flops_bound_ms, bytes_bound_ms: how long the step takes at least at these rates.
      flops_share, bytes_share: which part of these rates it reaches; fractions.
    """

    model: str
    image_size: int
    batch_size: int
    dtype: str
    kind: str
    device: str
    step_ms: float
    flops: float
    bytes_moved: float
    peak_flops_per_second: float
    peak_bytes_per_second: float
    flops_bound_ms: float
    bytes_bound_ms: float
    flops_share: float
    bytes_share: float


def measure(setup: Setup) -> Iterator[Roofline]:
    """Yields a model's row of training and its row of inference, on the first device."""
    config, side = setup.config, setup.image_size
    ready = ReadyModel(setup)
    macs = models.count_macs(models.create_abstract(config.model, setup.num_logits), side)
    each = {
        "train": (ready.program.train_steps[side], count_train_macs(setup)),
        "infer": (ready.program.eval_step, macs),
    }
    paces = ready.paces(_SECONDS)
    flops_rate, bytes_rate = matrix_rate(config.dtype), copy_rate()
    for kind, (compiled, macs_of_one) in each.items():
        seconds = 1 / paces[kind].steps_per_second
        flops = 2.0 * macs_of_one * config.batch_size
        moved = float(traffic.bytes_moved(compiled.as_text()))
        yield Roofline(
            model=setup.model,
            image_size=side,
            batch_size=config.batch_size,
            dtype=config.dtype,
            kind=kind,
            device=jax.devices()[0].device_kind,
            step_ms=seconds * 1e3,
            flops=flops,
            bytes_moved=moved,
            peak_flops_per_second=flops_rate,
            peak_bytes_per_second=bytes_rate,
            flops_bound_ms=flops / flops_rate * 1e3,
            bytes_bound_ms=moved / bytes_rate * 1e3,
            flops_share=flops / seconds / flops_rate,
            bytes_share=moved / seconds / bytes_rate,
        )


def matrix_rate(dtype: str) -> float:
    """Returns the FLOPs per second of a product of two large matrices of random numbers."""
    side = _MATRIX_SIDE.get(jax.default_backend(), _DEFAULT_MATRIX_SIDE)
    left, right = jax.random.normal(jax.random.key(0), (2, side, side), jnp.dtype(dtype))
    return 2.0 * side**3 * _rate(jax.jit(jnp.matmul), left, right)


def copy_rate() -> float:
    """Returns the bytes per second, read and written, of copying a large array of random numbers."""
    size = _COPIED_BYTES.get(jax.default_backend(), _DEFAULT_COPIED_BYTES)
    array = jax.random.bits(jax.random.key(0), (size // 4,), jnp.uint32)
    return 2.0 * size * _rate(jax.jit(lambda array: array + 1), array)


def _rate(function: Callable[..., jax.Array], *arguments: jax.Array) -> float:
    """Returns the calls per second of a function."""
    out = function(*arguments)

    def call() -> None:
        nonlocal out
        out = function(*arguments)

    return queued_steps.measure(call, lambda: out.block_until_ready(), _SECONDS).steps_per_second
