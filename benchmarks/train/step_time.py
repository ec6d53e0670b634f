"""How long a step takes on this machine, measured once so that a budget in seconds becomes a number of steps."""

import contextlib
import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.machine import distributed, timing
from benchmarks.machine.mesh import place_batch, replicate
from benchmarks.runs import budget
from benchmarks.runs.plan import Run, train_batches
from benchmarks.steps.compile import Program
from benchmarks.steps.train_step import State
from benchmarks.weights.initial import initial_state
from results.records import files

_FILE = "calibration.json"
_WARM_UP_STEPS = 3
_MIN_STEPS = 10
# How long to measure: a tenth of the budget, but more of a short one, up to a half.
_FRACTION, _MAX_FRACTION = 0.1, 0.5
_MIN_SECONDS, _MAX_SECONDS = 5.0, 60.0


def with_steps(run: Run, program: Program, state: State, start_step: int) -> tuple[Run, State]:
    """Returns the run with its number of steps, and its state with the same.

    The measured time is kept in the run's folder, so that a run that is stopped at any moment has the same number of
    steps when it is resumed.

    Args:
      run: a run whose budget is in seconds.
      program: its compiled steps.
      state: the state after `start_step` steps; consumed.
      start_step: above 0 if the run is resumed.
    """
    if start_step:
        planned = dataclasses.replace(run.budget, steps=int(state["num_steps"]))
        return run.with_steps(planned), state
    seconds_per_step = _kept(run.workdir)
    if seconds_per_step is None:
        seconds_per_step = _measured(run, program, state)
        # The weights trained on the way are thrown away.
        del state
        state = initial_state(run.setup, 1, program.mesh)
    planned = budget.calibrated(run.budget, seconds_per_step)
    num_steps = replicate(jnp.asarray(planned.steps, jnp.int32), program.mesh)
    return run.with_steps(planned), state | {"num_steps": num_steps}


def _kept(workdir: Path) -> float | None:
    """Returns the seconds of a step that an earlier attempt measured."""
    path = workdir / _FILE
    return json.loads(path.read_text())["seconds_per_step"] if path.exists() else None


def _measured(run: Run, program: Program, state: State) -> float:
    """Returns the seconds of a step on the slowest of the processes, and keeps them in the run's folder."""
    seconds = []
    for size in run.setup.train_sizes:
        state, at_this_size = _seconds_per_step(run, program, state, size)
        seconds.append(at_this_size)
    seconds_per_step = distributed.slowest(float(np.mean(seconds)))
    if jax.process_index() == 0:
        content = json.dumps({"seconds_per_step": seconds_per_step}) + "\n"
        files.write_atomically(run.workdir / _FILE, content)
    return seconds_per_step


def measured_seconds(amount: float) -> float:
    """Returns for how many seconds steps are measured at least, if the budget is `amount` seconds."""
    return min(max(_FRACTION * amount, min(_MIN_SECONDS, _MAX_FRACTION * amount)), _MAX_SECONDS)


def _seconds_per_step(run: Run, program: Program, state: State, size: int) -> tuple[State, float]:
    """Trains on real batches for a while; returns the state and the seconds of a step, waiting for input included."""
    batches = train_batches(run, 0, 10**9, size)
    train_step = program.train_steps[size]

    def train(steps: int) -> State:
        nonlocal state
        for _ in range(steps):
            state, _ = train_step(state, place_batch(next(batches), program.mesh))
        return state

    with contextlib.closing(batches):
        train(_WARM_UP_STEPS)
        seconds = timing.seconds(lambda: train(_MIN_STEPS))
        more = timing.calls_left(seconds, _MIN_STEPS, measured_seconds(run.budget.amount))
        seconds += timing.seconds(lambda: train(more))
    return state, seconds / (_MIN_STEPS + more)
