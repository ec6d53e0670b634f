"""How fast a trained model answers: images per second of large batches, and milliseconds for one picture."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks import tasks
from benchmarks.config import derived
from benchmarks.machine import distributed
from benchmarks.machine.mesh import local_mesh, on_local_device, place_batch
from benchmarks.steps.compile import Program
from benchmarks.steps.eval_step import eval_batch_size

# For how long at least a run measures how fast it answers, in large batches and one by one.
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


def measure(
    config: ConfigDict, compiled: Program, params: Any, batch_stats: Any, num_logits: int
) -> InferenceSpeed:
    """Measures a run's compiled evaluation steps on random pictures."""
    side = derived.eval_image_size(config)
    labels = tasks.TASKS[config.task].label_spec(eval_batch_size(config), num_logits)
    many = random_batch(labels, side, config.eval_crops, jax.process_count())
    one = random_batch(tasks.TASKS[config.task].label_spec(1, num_logits), side, config.eval_crops)
    mesh = local_mesh()
    on_one = on_local_device((params, batch_stats))
    median, slow = latency_ms(
        compiled.eval_one,
        *on_one,
        one,
        lambda batch: place_batch(batch, mesh),
        at_least_seconds=SINGLE_SECONDS,
    )
    speed = images_per_second(
        compiled.eval_step,
        params,
        batch_stats,
        place_batch(many, compiled.mesh),
        at_least_seconds=BATCHES_SECONDS,
    )
    return InferenceSpeed(speed, median, slow)


def random_batch(
    labels: jax.ShapeDtypeStruct, side: int, crops: int = 1, processes: int = 1
) -> dict[str, np.ndarray]:
    """Returns one process's part of a batch of random pictures, the same each time, whose labels are 0.

    Args:
      labels: the shape and type of the whole batch's.
      side: of the pictures, pixels.
      crops: of each picture.
      processes: that share the batch.
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
    jax.block_until_ready(eval_step(params, batch_stats, batch))

    def timed() -> float:
        start = time.perf_counter()
        jax.block_until_ready(eval_step(params, batch_stats, batch))
        return time.perf_counter() - start

    seconds = [timed() for _ in range(at_least_batches)]
    # Every process makes as many passes, for in each they exchange what they predict.
    taken = distributed.slowest(sum(seconds))
    more = math.ceil((at_least_seconds - taken) / taken * at_least_batches)
    seconds += [timed() for _ in range(more)]
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
      at_least_seconds: of measuring,
      at_least_times: and of answers; the first is not counted.
      at_most_times: of answers, however few seconds they take.
    """
    seconds: list[float] = []
    jax.device_get(eval_step(params, batch_stats, place(batch)))
    while len(seconds) < at_least_times or (
        sum(seconds) < at_least_seconds and len(seconds) < at_most_times
    ):
        start = time.perf_counter()
        jax.device_get(eval_step(params, batch_stats, place(batch)))
        seconds.append(time.perf_counter() - start)
    median, slow = np.percentile(seconds, (50, 99))
    return float(median) * 1e3, float(slow) * 1e3
