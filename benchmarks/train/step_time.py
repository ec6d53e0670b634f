"""What a step takes on this machine, measured once, so that a budget in seconds becomes a number of steps."""

import contextlib
import dataclasses
import json
import math
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.config import derived
from benchmarks.machine import distributed
from benchmarks.machine.mesh import place_batch, replicate
from benchmarks.runs import budget
from benchmarks.runs.plan import Run, train_batches
from benchmarks.steps.compile import Program
from benchmarks.steps.train_step import State
from benchmarks.weights.initial import initial_state
from results.records import files

_WARM_UP_STEPS = 3
_MIN_STEPS = 10
# How long is measured: a tenth of the budget, but of short ones more, up to a half.
_FRACTION, _MAX_FRACTION = 0.1, 0.5
_MIN_SECONDS, _MAX_SECONDS = 5.0, 60.0


def calibrate(run: Run, compiled: Program, state: State, start_step: int) -> tuple[Run, State]:
    """Returns the run with its number of steps, and its state, told of it.

    What was measured is kept in `workdir/calibration.json`, so that a run that is stopped at any moment ends where it
    would have.

    Args:
      run: whose budget is in seconds.
      compiled: its program.
      state: after `start_step` steps; consumed.
      start_step: above 0 where the run is resumed.
    """
    if start_step:
        num_steps = int(state["num_steps"])
        return dataclasses.replace(
            run, budget=dataclasses.replace(run.budget, steps=num_steps)
        ), state
    path = run.workdir / "calibration.json"
    if path.exists():
        seconds_per_step = json.loads(path.read_text())["seconds_per_step"]
    else:
        sizes = derived.train_sizes(run.config)
        seconds = []
        for size in sizes:
            state, measured = _seconds_per_step(run, compiled, state, size)
            seconds.append(measured)
        seconds_per_step = distributed.slowest(float(np.mean(seconds)))
        if jax.process_index() == 0:
            content = json.dumps({"seconds_per_step": seconds_per_step}) + "\n"
            files.write_atomically(path, content)
        # What was trained on the way is thrown away.
        del state
        state = initial_state(run.config, run.num_logits, num_steps=1, mesh=compiled.mesh)
    planned = budget.calibrated(run.budget, seconds_per_step)
    num_steps = replicate(jnp.asarray(planned.steps, jnp.int32), compiled.mesh)
    return dataclasses.replace(run, budget=planned), state | {"num_steps": num_steps}


def measured_seconds(amount: float) -> float:
    """Returns for how many seconds at least a step is measured, of a budget of so many."""
    return min(max(_FRACTION * amount, min(_MIN_SECONDS, _MAX_FRACTION * amount)), _MAX_SECONDS)


def _seconds_per_step(run: Run, compiled: Program, state: State, size: int) -> tuple[State, float]:
    """Trains on real batches for a while; returns the state and the seconds of a step, waiting for input included."""
    limit = measured_seconds(run.budget.amount)
    batches = train_batches(run, 0, 10**9, size)
    train_step = compiled.train_steps[size]

    def train(steps: int) -> float:
        """Returns the seconds of so many steps."""
        nonlocal state
        start = time.perf_counter()
        for _ in range(steps):
            state, _ = train_step(state, place_batch(next(batches), compiled.mesh))
        jax.block_until_ready(state)
        return time.perf_counter() - start

    with contextlib.closing(batches):
        train(_WARM_UP_STEPS)
        seconds = train(_MIN_STEPS)
        # Every process takes as many steps, for each is an exchange with the others.
        slowest = distributed.slowest(seconds)
        more = max(0, math.ceil((limit - slowest) / slowest * _MIN_STEPS))
        seconds += train(more)
    return state, seconds / (_MIN_STEPS + more)
