"""How fast a model trains and infers, on synthetic data that is on the device already."""

import dataclasses
import time

import jax
import numpy as np

from benchmarks.config.setup import Setup
from benchmarks.inference import speed as inference_speed
from benchmarks.machine import memory, timing
from benchmarks.machine.mesh import create_mesh, place_batch, replicate
from benchmarks.steps.compile import compile_program
from benchmarks.steps.train_step import State
from benchmarks.weights.initial import initial_state

# A step's time is the median over at least this many steps and seconds, after one that warms up.
_STEPS = 5
_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Speed:
    """One model's speed at one batch size.

    Attributes:
      train_images_per_second, infer_images_per_second: over all devices.
      train_step_ms: milliseconds of the median training step.
      infer_latency_p50_ms, infer_latency_p99_ms: milliseconds from one picture on the host to its answer there.
      peak_memory_bytes: the most that training took on the fullest device, or on a CPU in the process; None if it
        cannot be measured, or if an earlier model of the same command took more.
      compile_seconds: how long tracing and compiling the steps took; less if the compilation cache had them.
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


def measure(setup: Setup) -> Speed:
    """Returns a model's speed at its image size, batch size and dtype."""
    config, side = setup.config, setup.image_size
    mesh = create_mesh()
    earlier_peak = memory.peak_bytes()
    start = time.perf_counter()
    program = compile_program(setup, mesh)
    compile_seconds = time.perf_counter() - start
    state = initial_state(setup, mesh)
    labels = setup.task.label_spec(config.batch_size, setup.num_logits)
    images = inference_speed.random_batch(labels, side, processes=jax.process_count())
    batch = place_batch(images, mesh)
    start_of_run = replicate(np.float32(0), mesh)

    def step() -> State:
        nonlocal state
        state, _ = program.train_steps[side](state, batch, start_of_run)
        return state

    seconds = timing.samples(step, at_least=_STEPS, at_least_seconds=_SECONDS)
    step_seconds = float(np.median(seconds))
    peak = memory.peak_bytes()
    inference = inference_speed.measure(setup, program, state["params"], state["batch_stats"])
    return Speed(
        model=setup.model,
        image_size=side,
        batch_size=config.batch_size,
        dtype=config.dtype,
        train_images_per_second=config.batch_size / step_seconds,
        infer_images_per_second=inference.images_per_second,
        train_step_ms=step_seconds * 1e3,
        infer_latency_p50_ms=inference.latency_p50_ms,
        infer_latency_p99_ms=inference.latency_p99_ms,
        peak_memory_bytes=None if peak == earlier_peak else peak,
        compile_seconds=compile_seconds,
    )
