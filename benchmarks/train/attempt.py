"""One attempt at a run: opened, trained, evaluated and recorded."""

import concurrent.futures
import contextlib
import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np

from benchmarks.cli import progress
from benchmarks.errors import DivergedError
from benchmarks.inference import speed as inference_speed
from benchmarks.inference.predict import predict, split_batches
from benchmarks.machine import memory, preemption
from benchmarks.machine.mesh import create_mesh, place_batch, placed
from benchmarks.runs import budget, pace
from benchmarks.runs.folder import write_class_names
from benchmarks.runs.plan import Run, train_batches
from benchmarks.runs.record import planned_record, with_facts
from benchmarks.steps.abstract import abstract_state
from benchmarks.steps.compile import Program, Saving, compile_program
from benchmarks.steps.train_step import State, final_weights
from benchmarks.tasks import metrics
from benchmarks.train import checkpoints, loop, mistakes
from benchmarks.train.clock import Clock
from benchmarks.train.metric_files import MetricFiles, NoFiles
from benchmarks.weights.initial import initial_state
from benchmarks.weights.stored import save_weights, weights_digest
from input_pipeline import loader
from results import records
from results.records import files, layout


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A run that is under way in this process.

    Attributes:
      run: what is settled about it.
      started: when it began, ISO 8601, UTC.
      start_step: how many steps earlier attempts have done.
      saving: how its steps save memory.
      program: its compiled steps.
      clock: its seconds, those of earlier attempts included.
      reporter: is told how far it is.
    """

    run: Run
    started: str
    start_step: int
    saving: Saving
    program: Program
    clock: Clock
    reporter: progress.Reporter


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """How a trained run does on its splits.

    Attributes:
      metrics: those of each split that the run has.
      unreadable: how many examples of each split could not be read.
      thresholds: the threshold of each logit's confidence; None if nothing is decided by one.
    """

    metrics: dict[str, dict[str, float]]
    unreadable: dict[str, int]
    thresholds: np.ndarray | None


def execute(
    run: Run,
    started: str,
    saving: Saving,
    profile_steps: tuple[int, int] | None,
    notice: preemption.Notice,
    reporter: progress.Reporter,
) -> records.RunRecord:
    """Returns the record of the run, completed.

    Args:
      run: what is settled about it; it goes on from its newest whole checkpoint.
      started: when it began, ISO 8601, UTC.
      saving: how its steps save memory.
      profile_steps: (first, end) of a profiler trace, the end excluded, which is written to the run's `profile/`.
      notice: says when the run must save its state and stop.
      reporter: is told how far the run is.

    Raises:
      DivergedError, PreemptedError, CheckpointError: as `train.loop.train`.
      DataError: too much of the data cannot be read.
    """
    with checkpoints.Checkpoints(run.workdir) as saved:
        attempt, state = _open(run, started, saving, saved, reporter)
        with _metric_files(attempt) as metric_files:
            attempt, state, unreadable = _train(
                attempt, state, saved, metric_files, profile_steps, notice
            )
            peak_memory = memory.peak_bytes()
            weights = final_weights(state)
            del state  # the optimizer's half of the memory
            evaluated = _evaluate_splits(attempt, weights)
            for split, values in evaluated.metrics.items():
                if not math.isfinite(values["loss"]):
                    raise DivergedError(attempt.run.budget.num_steps, values["loss"], math.nan)
                metric_files.write(attempt.run.budget.num_steps, metrics.named(split, values))
        return _record(attempt, weights, evaluated, unreadable, peak_memory)


def _open(
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
    with concurrent.futures.ThreadPoolExecutor(1) as pool, clock.measure("compile"):
        compiling = pool.submit(compile_program, run.setup, mesh, saving, positive_weights)
        if state is None:
            state = initial_state(run.setup, mesh)
        program = compiling.result()
    if not start_step:
        _try_evaluation(run, program, state)
    return Attempt(run, started, start_step, saving, program, clock, reporter), state


def _try_evaluation(run: Run, program: Program, state: State) -> None:
    """Reads and evaluates the first batch of each split, so that what fails there fails before training."""
    config = run.config.copy_and_resolve_references()
    config.num_workers = 0  # for a batch, processes are not worth starting
    setup = dataclasses.replace(run.setup, config=config)
    for split in filter(None, (config.validation_split, config.test_split)):
        with contextlib.closing(split_batches(setup, run.dataset, split)) as batches:
            batch = place_batch(next(batches), program.mesh)
            jax.block_until_ready(program.eval_step(state["params"], state["batch_stats"], batch))


def _metric_files(attempt: Attempt) -> MetricFiles | NoFiles:
    if jax.process_index() == 0:
        return MetricFiles(attempt.run.workdir, attempt.start_step)
    return NoFiles()


def _train(
    attempt: Attempt,
    state: State,
    saved: checkpoints.Checkpoints,
    metric_files: MetricFiles | NoFiles,
    profile_steps: tuple[int, int] | None,
    notice: preemption.Notice,
) -> tuple[Attempt, State, int]:
    """Returns the attempt, with its number of steps, its last state, and how many examples could not be read."""
    run, clock = attempt.run, attempt.clock
    readers: list[loader.Batches] = []

    def read(first: int, end: int, size: int) -> loader.Batches:
        readers.append(train_batches(run, first, end, size))
        return readers[-1]

    def validate(state: State) -> dict[str, float]:
        with clock.measure("evaluation"):
            predictions, _ = _predict(attempt, final_weights(state), run.config.validation_split)
        return run.task.metrics(predictions, run.task.thresholds(predictions))

    state, steps = loop.train(
        attempt.program,
        state,
        read,
        _pace(attempt),
        _schedule(attempt, profile_steps),
        clock=clock,
        files=metric_files,
        checkpoints=saved,
        reporter=attempt.reporter,
        notice=notice,
        validate=validate,
    )
    attempt = dataclasses.replace(attempt, run=run.with_steps(steps))
    return attempt, state, sum(len(each.faults) for each in readers)


def _pace(attempt: Attempt) -> pace.Pace:
    run, sizes = attempt.run, attempt.run.setup.train_sizes
    if run.repeats is not None:
        if jax.process_index() == 0:
            pace.write(run.workdir, run.repeats)
        return pace.Repeated(run.repeats, run.budget.num_steps, sizes)
    if run.budget.steps is not None:
        return pace.Counted(run.budget.steps, sizes)
    spent = attempt.clock["train"]
    return pace.Timed(run.budget.amount, sizes, run.workdir, attempt.start_step, spent)


def _schedule(attempt: Attempt, profile_steps: tuple[int, int] | None) -> loop.Schedule:
    run, config = attempt.run, attempt.run.config
    return loop.Schedule(
        start_step=attempt.start_step,
        batch_size=config.batch_size,
        log_every_steps=config.log_every_steps,
        checkpoint_every_steps=config.checkpoint_every_steps,
        validate_every_steps=config.validate_every_steps,
        profile_steps=profile_steps,
        profile_dir=run.workdir / "profile",
    )


def _evaluate_splits(attempt: Attempt, weights: tuple[dict, dict]) -> Evaluated:
    """Returns how the run does on its splits, of which the test split comes last and is read once.

    Thresholds are chosen on the validation split, and are a half without one. The predictions for each example are
    kept in the run's `predictions/`.
    """
    run = attempt.run
    steps = run.budget.num_steps
    attempt.reporter.report(progress.Event("evaluating", step=steps, steps=steps))
    splits = {"validation": run.config.validation_split, "test": run.config.test_split}
    evaluated = Evaluated({}, {}, run.task.default_thresholds(run.setup.num_logits))
    with attempt.clock.measure("evaluation"):
        for name, split in splits.items():
            if not split:
                continue
            predictions, evaluated.unreadable[name] = _predict(attempt, weights, split)
            if name == "validation":
                chosen = run.task.thresholds(predictions)
                evaluated = dataclasses.replace(evaluated, thresholds=chosen)
            evaluated.metrics[name] = run.task.metrics(predictions, evaluated.thresholds)
            if jax.process_index() == 0:
                files.write_arrays(layout.predictions_in(run.workdir, name), predictions)
    return evaluated


def _predict(
    attempt: Attempt, weights: tuple[dict, dict], split: str
) -> tuple[metrics.Predictions, int]:
    """Returns the predictions of a split and how many of its examples could not be read."""
    run, program = attempt.run, attempt.program
    with contextlib.closing(split_batches(run.setup, run.dataset, split)) as batches:
        predictions = predict(program.eval_step, *weights, placed(batches, program.mesh))
        return predictions, len(batches.faults)


def _record(
    attempt: Attempt,
    weights: tuple[dict, dict],
    evaluated: Evaluated,
    unreadable: int,
    peak_memory: int | None,
) -> records.RunRecord:
    """Returns the record of the run, after saving its weights and measuring its inference speed."""
    run, clock = attempt.run, attempt.clock
    speed = inference_speed.measure(run.setup, attempt.program, *weights)
    digest = weights_digest(*weights)
    save_weights(run.workdir, *weights)
    planned = with_facts(planned_record(run, attempt.started, "completed"), run)
    record = dataclasses.replace(
        planned,
        metrics=records.Metrics(**evaluated.metrics),
        timings=_timings(clock),
        throughput=records.Throughput(
            train_images_per_second=run.budget.num_examples / clock["train"],
            infer_images_per_second=speed.images_per_second,
            infer_latency_p50_ms=speed.latency_p50_ms,
            infer_latency_p99_ms=speed.latency_p99_ms,
        ),
        weights_digest=digest,
        unreadable_examples={"train": unreadable} | evaluated.unreadable,
        accumulation=attempt.saving.accumulation,
        remat=attempt.saving.remat,
        peak_memory_bytes=peak_memory,
        decision=_decision(run, evaluated.thresholds),
        positive_weights=_by_label(run, run.positive_weights),
        budget=_spent(planned.budget, run, clock),
    )
    if jax.process_index() == 0:
        write_class_names(run.workdir, run.dataset.class_names)
        mistakes.try_to_write(run.workdir, record, run.setup, run.dataset)
    return record


def _spent(planned: records.Budget, run: Run, clock: Clock) -> records.Budget:
    examples = run.budget.num_examples
    return dataclasses.replace(
        planned,
        examples_spent=examples,
        train_flops_spent=float(budget.train_flops(run.train_macs, examples)),
        train_seconds_spent=clock["train"],
    )


def _timings(clock: Clock) -> records.Timings:
    return records.Timings(
        **{f"{name}_seconds": seconds for name, seconds in clock.seconds().items()}
    )


def _decision(run: Run, thresholds: np.ndarray | None) -> records.Decision | None:
    by_label = _by_label(run, thresholds)
    return records.Decision(by_label) if by_label else None


def _by_label(run: Run, values: Sequence[float] | np.ndarray | None) -> dict[str, float] | None:
    """Returns the values by the names of their logits; None if there are none."""
    if values is None or not len(values):
        return None
    return dict(zip(run.logit_names, map(float, values), strict=True))
