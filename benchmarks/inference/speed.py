"""How fast a trained model answers: images per second of large batches, and milliseconds for one picture."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.config.setup import Setup
from benchmarks.machine import timing
from benchmarks.machine.mesh import local_mesh, on_local_device, place_batch
from benchmarks.steps.compile import Program
from benchmarks.steps.eval_step import eval_batch_size

# How long a run measures its inference speed at least, in large batches and one picture at a time.
BATCHES_SECONDS, SINGLE_SECONDS = 0.5, 0.2


@dataclasses.dataclass(frozen=True)
class InferenceSpeed:
    """How fast a model answers.

    Attributes:
      images_per_second: over all devices, of pictures that are on them already.
      latency_p50_ms, latency_p99_ms: from one picture on the host to its answer there, median and 99th percentile.
    """

    images_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float


def measure(setup: Setup, program: Program, params: dict, batch_stats: dict) -> InferenceSpeed:
    """Measures a run's compiled evaluation steps on random pictures."""
    side, crops = setup.eval_image_size, setup.config.eval_crops
    labels = setup.task.label_spec(eval_batch_size(setup), setup.num_logits)
    many = random_batch(labels, side, crops, jax.process_count())
    one = random_batch(setup.task.label_spec(1, setup.num_logits), side, crops)
    mesh = local_mesh()
    local_params, local_stats = on_local_device((params, batch_stats))
    median, slow = latency_ms(
        program.eval_one,
        local_params,
        local_stats,
        one,
        lambda batch: place_batch(batch, mesh),
        at_least_seconds=SINGLE_SECONDS,
    )
    speed = images_per_second(
        program.eval_step,
        params,
        batch_stats,
        place_batch(many, program.mesh),
        at_least_seconds=BATCHES_SECONDS,
    )
    return InferenceSpeed(speed, median, slow)


def random_batch(
    labels: jax.ShapeDtypeStruct, side: int, crops: int = 1, processes: int = 1
) -> dict[str, np.ndarray]:
    """Returns one process's part of a batch of random pictures, the same each time, whose labels are 0.

    Args:
      labels: the shape and type of the whole batch's labels.
      side: the side of the pictures, in pixels.
      crops: how many crops each picture has.
      processes: how many processes share the batch.
    """
    rng = np.random.default_rng(0)
    batch_size, *rest = labels.shape
    part = batch_size // processes
    image = (part, *((crops,) if crops > 1 else ()), side, side, 3)
    return {
        "image": rng.integers(0, 256, image, np.uint8),
        "label": np.zeros((part, *rest), labels.dtype),
        "mask": np.ones(part, np.float32),
    }


def images_per_second(
    eval_step: Callable[..., dict[str, jax.Array]],
    params: Any,
    batch_stats: Any,
    batch: dict[str, jax.Array],
    *,
    at_least_seconds: float,
    at_least_batches: int = 3,
) -> float:
    """Returns the inference speed on a batch that is on the device already: the median over several passes."""
    seconds = timing.samples(
        lambda: eval_step(params, batch_stats, batch),
        at_least=at_least_batches,
        at_least_seconds=at_least_seconds,
    )
    return len(batch["label"]) / float(np.median(seconds))


def latency_ms(
    eval_step: Callable[..., dict[str, jax.Array]],
    params: Any,
    batch_stats: Any,
    batch: dict[str, np.ndarray],
    place: Callable[[dict[str, np.ndarray]], dict[str, jax.Array]],
    *,
    at_least_seconds: float,
    at_least_times: int = 20,
    at_most_times: int = 2000,
) -> tuple[float, float]:
    """Returns the median and the 99th percentile of the milliseconds from a batch on the host to its answer there.

    Args:
      eval_step: compiled for the batch, which holds one picture where the latency of one is asked for.
      params: the parameters.
      batch_stats: the batch statistics.
      batch: on the host.
      place: moves a batch to the device.
      at_least_seconds: how long to measure at least.
      at_least_times: how many answers to time at least; the first is not counted.
      at_most_times: how many answers to time at most, however little time they take.
    """
    seconds = timing.samples(
        lambda: jax.device_get(eval_step(params, batch_stats, place(batch))),
        at_least=at_least_times,
        at_least_seconds=at_least_seconds,
        at_most=at_most_times,
    )
    median, slow = np.percentile(seconds, (50, 99))
    return float(median) * 1e3, float(slow) * 1e3
