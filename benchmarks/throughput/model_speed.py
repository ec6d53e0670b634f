"""How fast a model trains and infers, on synthetic data that is on the device already."""

import dataclasses
import time

import jax
import numpy as np
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import derived
from benchmarks.inference import speed as inference_speed
from benchmarks.machine import memory
from benchmarks.machine.mesh import create_mesh, place_batch
from benchmarks.runs import validation
from benchmarks.steps.compile import compile_program
from benchmarks.weights.initial import initial_state

# A step's time is the median over at least this many, after one that warms up.
_STEPS = 5
_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Speed:
    """One model's speed at one batch size.

    Attributes:
      train_images_per_second, infer_images_per_second: over all devices.
      train_step_ms: milliseconds of the median training step.
      infer_latency_p50_ms, infer_latency_p99_ms: milliseconds from one picture on the host to its answer there.
      peak_memory_bytes: the most that training took: of the fullest device, on a CPU of the process; None where it
        cannot be measured, or where an earlier model of the same command took more.
      compile_seconds: of tracing and compiling both steps; less where the compilation cache had them.
    """

    model: str
    image_size: int
    batch_size: int
    dtype: str
    train_images_per_second: float
    infer_images_per_second: float
    train_step_ms: float
    infer_latency_p50_ms: float
    infer_latency_p99_ms: float
    peak_memory_bytes: int | None
    compile_seconds: float


def measure(config: ConfigDict, num_logits: int = 1000) -> Speed:
    """Measures the model of `config` at its image size, batch size and dtype.

    Raises:
      ConfigError, ModelError: one sentence on what is wrong.
    """
    validation.validate(config)
    mesh = create_mesh()
    earlier_peak = memory.peak_bytes()
    start = time.perf_counter()
    compiled = compile_program(config, num_logits, mesh)
    compile_seconds = time.perf_counter() - start
    state = initial_state(config, num_logits, num_steps=100, mesh=mesh)
    side = derived.image_size(config)
    batch = place_batch(
        inference_speed.random_batch(
            tasks.TASKS[config.task].label_spec(config.batch_size, num_logits),
            side,
            processes=jax.process_count(),
        ),
        mesh,
    )
    seconds: list[float] = []
    train_step = compiled.train_steps[side]
    state, _ = train_step(state, batch)
    jax.block_until_ready(state)
    while len(seconds) < _STEPS or sum(seconds) < _SECONDS:
        start = time.perf_counter()
        state, _ = train_step(state, batch)
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - start)
    step = float(np.median(seconds))
    peak = memory.peak_bytes()
    peak = None if peak == earlier_peak else peak
    inference = inference_speed.measure(
        config, compiled, state["params"], state["batch_stats"], num_logits
    )
    return Speed(
        model=models.label(*models.parse(config.model)),
        image_size=side,
        batch_size=config.batch_size,
        dtype=config.dtype,
        train_images_per_second=config.batch_size / step,
        infer_images_per_second=inference.images_per_second,
        train_step_ms=step * 1e3,
        infer_latency_p50_ms=inference.latency_p50_ms,
        infer_latency_p99_ms=inference.latency_p99_ms,
        peak_memory_bytes=peak,
        compile_seconds=compile_seconds,
    )
