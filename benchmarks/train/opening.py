"""Opening an attempt at a run: its steps compiled, and its state new, restored from a checkpoint or fully trained."""

import concurrent.futures
import contextlib
import dataclasses

import jax

from benchmarks.cli import progress
from benchmarks.errors import CheckpointError
from benchmarks.inference.predict import split_batches
from benchmarks.machine.mesh import create_mesh, place_batch, replicated
from benchmarks.runs.plan import Run
from benchmarks.steps.abstract import abstract_model, abstract_state, shapes
from benchmarks.steps.cached_split import DeviceSplit
from benchmarks.steps.compile import Program, Saving, compile_evaluation, compile_program
from benchmarks.steps.train_step import State
from benchmarks.train import checkpoints
from benchmarks.train.clock import Clock
from benchmarks.weights.initial import initial_state
from benchmarks.weights.stored import load_weights, weights_digest
from isobudget import collector
from results import records

Weights = tuple[dict, dict]  # parameters and batch statistics


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A run that is under way in this process.

    Attributes:
      run: what is settled about it.
      started: when it began, ISO 8601, UTC.
      start_step: how many steps earlier attempts have done.
      saving: how its steps save memory.
      program: its compiled steps; those of evaluation alone, if the training is over.
      clock: its seconds, those of earlier attempts included.
      reporter: is told how far it is.
      split: its training split, if that is kept on the devices.
      kept_batches: the batches of a split that are kept on the devices, and how many of its examples could not be
        read, by the split; filled in as splits are read.
    """

    run: Run
    started: str
    start_step: int
    saving: Saving
    program: Program
    clock: Clock
    reporter: progress.Reporter
    split: DeviceSplit | None = None
    kept_batches: dict[str, tuple[list[dict[str, jax.Array]], int]] = dataclasses.field(
        default_factory=dict
    )


def open_new(
    run: Run,
    started: str,
    saving: Saving,
    saved: checkpoints.Checkpoints,
    reporter: progress.Reporter,
) -> tuple[Attempt, State]:
    """Returns the attempt, with its steps compiled, and the run's state, restored or new."""
    mesh = create_mesh()
    restored = saved.restore_latest(abstract_state(run.setup, mesh))
    start_step, state, seconds = restored or (0, None, None)
    del restored
    clock = Clock(seconds)
    reporter.report(progress.Event("compiling", step=start_step))
    positive_weights = run.positive_weights
    # Weights are drawn while XLA compiles, because for a large network either takes seconds.
    with (
        collector.paused(),
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        clock.measure("compile"),
    ):
        compiling = pool.submit(
            compile_program, run.setup, mesh, saving, positive_weights, cached=run.cached
        )
        if state is None:
            state = initial_state(run.setup, mesh)
        program = compiling.result()
    split = None
    if run.cached is not None:
        split = DeviceSplit.of(run.cached, run.setup, mesh)
        clock.add("total", run.cached.seconds)
    _try_evaluation(run, program, state)
    return Attempt(run, started, start_step, saving, program, clock, reporter, split), state


def reopen(
    run: Run, training: records.RunRecord, reporter: progress.Reporter
) -> tuple[Attempt, Weights]:
    """Returns the attempt at a run whose training is over, with evaluation compiled, and the weights.

    Raises:
      CheckpointError: they are not those of the training.
    """
    mesh = create_mesh()
    run = run.with_steps(training.budget.steps or 0)
    clock = Clock(_seconds(training.timings))
    reporter.report(progress.Event("compiling", step=run.budget.num_steps))
    with clock.measure("compile"):
        program = compile_evaluation(run.setup, mesh)
    _, *abstract = abstract_model(run.setup)
    weights = load_weights(run.workdir, *shapes(tuple(abstract), replicated(mesh)))
    if weights_digest(*weights) != training.weights_digest:
        raise CheckpointError(
            f"the weights in {run.workdir} are not those of its training; remove the folder to train again."
        )
    saving = Saving.of(run.config)  # of no consequence in evaluation
    steps = run.budget.num_steps
    attempt = Attempt(run, training.started_at, steps, saving, program, clock, reporter)
    return attempt, weights


def _try_evaluation(run: Run, program: Program, state: State) -> None:
    """Reads and evaluates the first batch of each split, so that what fails there fails before training."""
    config = run.config.copy_and_resolve_references()
    config.num_workers = 0  # for a batch, processes are not worth starting
    setup = dataclasses.replace(run.setup, config=config)
    for split in filter(None, (config.validation_split, config.test_split)):
        with contextlib.closing(split_batches(setup, run.dataset, split)) as batches:
            batch = place_batch(next(batches), program.mesh)
            jax.block_until_ready(program.eval_step(state["params"], state["batch_stats"], batch))


def _seconds(timings: records.Timings) -> dict[str, float]:
    """Returns the seconds of a record as a clock has them."""
    recorded = {name: getattr(timings, f"{name}_seconds") for name in Clock.NAMES}
    return {name: seconds for name, seconds in recorded.items() if seconds is not None}
