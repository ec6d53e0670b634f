"""What the training loop adds to the bare compiled step: batches moved, metrics fetched, written and shown."""

import contextlib
import dataclasses
import itertools
import tempfile
from collections.abc import Generator
from pathlib import Path

import jax
import numpy as np

from benchmarks.cli import progress
from benchmarks.config.setup import Setup
from benchmarks.inference import speed as inference_speed
from benchmarks.machine import preemption, timing
from benchmarks.machine.mesh import create_mesh, place_batch, replicate
from benchmarks.runs import pace
from benchmarks.steps.compile import Program, compile_program
from benchmarks.steps.train_step import State
from benchmarks.train import loop
from benchmarks.train.checkpoints import Checkpoints
from benchmarks.train.clock import Clock
from benchmarks.train.metric_files import MetricFiles
from benchmarks.weights.initial import initial_state

# Bare and looped steps take turns, so that whatever else the machine does affects both; medians are reported.
_ROUNDS = 7
_SECONDS_A_ROUND = 2.0
_MIN_STEPS = 10


@dataclasses.dataclass(frozen=True)
class LoopOverhead:
    """A training step alone and within the loop, on batches in the host's memory.

    Attributes:
      bare_step_ms: milliseconds of a compiled step whose batch is on the device.
      loop_step_ms: milliseconds of a step of `train.loop.train`: batch moved, metrics fetched, written and shown.
      overhead: the median over rounds of loop_step_ms / bare_step_ms - 1; a fraction.
      rounds, steps: how many rounds there were, and of how many steps each.
    """

    model: str
    image_size: int
    batch_size: int
    dtype: str
    bare_step_ms: float
    loop_step_ms: float
    overhead: float
    rounds: int
    steps: int


def measure(setup: Setup) -> LoopOverhead:
    """Returns the loop's overhead for a model at its image size, batch size and dtype."""
    mesh = create_mesh()
    program = compile_program(setup, mesh)
    state = initial_state(setup, mesh)
    labels = setup.task.label_spec(setup.config.batch_size, setup.num_logits)
    batch = inference_speed.random_batch(labels, setup.image_size, processes=jax.process_count())
    state, _ = _bare(setup, program, state, batch, _MIN_STEPS)
    state, seconds = _bare(setup, program, state, batch, _MIN_STEPS)
    steps = max(_MIN_STEPS, round(_SECONDS_A_ROUND / seconds))
    bare, looped = [], []
    for _ in range(_ROUNDS):
        state, seconds = _bare(setup, program, state, batch, steps)
        bare.append(seconds)
        state, seconds = _looped(setup, program, state, batch, steps)
        looped.append(seconds)
    return LoopOverhead(
        model=setup.model,
        image_size=setup.image_size,
        batch_size=setup.config.batch_size,
        dtype=setup.config.dtype,
        bare_step_ms=float(np.median(bare)) * 1e3,
        loop_step_ms=float(np.median(looped)) * 1e3,
        overhead=float(np.median(np.divide(looped, bare))) - 1,
        rounds=_ROUNDS,
        steps=steps,
    )


def _bare(
    setup: Setup, program: Program, state: State, batch: dict[str, np.ndarray], steps: int
) -> tuple[State, float]:
    """Returns the state and the seconds of a step, after `steps` steps on one batch that is on the device."""
    placed = place_batch(batch, program.mesh)
    step = program.train_steps[setup.image_size]
    progress = replicate(np.float32(0), program.mesh)
    jax.block_until_ready((state, placed))

    def train() -> State:
        nonlocal state
        for _ in range(steps):
            state, _ = step(state, placed, progress)
        return state

    seconds = timing.seconds(train)
    return state, seconds / steps


def _looped(
    setup: Setup, program: Program, state: State, batch: dict[str, np.ndarray], steps: int
) -> tuple[State, float]:
    """Returns the state and the seconds of a step of the loop, as its own clock counts them."""
    config = setup.config

    def read(first: int, end: int, size: int) -> Generator[dict[str, np.ndarray]]:
        del size
        # A generator, because the loop closes what it reads.
        yield from itertools.repeat(batch, end - first)

    schedule = loop.Schedule(
        start_step=0,
        batch_size=config.batch_size,
        log_every_steps=config.log_every_steps,
        checkpoint_every_steps=10**9,
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        state, _ = loop.train(
            program,
            state,
            read,
            pace.Counted(steps, (setup.image_size,)),
            schedule,
            clock=clock,
            files=stack.enter_context(MetricFiles(Path(folder), 0)),
            checkpoints=stack.enter_context(Checkpoints(Path(folder))),
            reporter=stack.enter_context(progress.create("lines", config.model)),
            notice=stack.enter_context(preemption.Notice()),
            validate=lambda state: {},
        )
        return state, clock["train"] / steps
