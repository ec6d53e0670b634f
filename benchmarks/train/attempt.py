"""One attempt at a run: opened, trained, evaluated and recorded."""

import dataclasses
from typing import Any

import jax

from benchmarks.cli import progress
from benchmarks.machine import memory, neighbors, preemption
from benchmarks.runs import budget, finished_training, pace
from benchmarks.runs.plan import Run, train_batches
from benchmarks.runs.record import planned_record, with_facts
from benchmarks.steps.cached_split import DeviceSplit
from benchmarks.steps.compile import Saving
from benchmarks.steps.train_step import State, final_weights
from benchmarks.train import checkpoints, loop
from benchmarks.train.clock import Clock
from benchmarks.train.evaluation import by_label, evaluate, predict_split, timings
from benchmarks.train.metric_files import MetricFiles, NoFiles
from benchmarks.train.opening import Attempt, Weights, open_new, reopen
from benchmarks.weights.stored import save_weights, weights_digest
from input_pipeline import loader
from results import records


def execute(
    run: Run,
    started: str,
    saving: Saving,
    profile_steps: tuple[int, int] | None,
    notice: preemption.Notice,
    reporter: progress.Reporter,
    watch: neighbors.Watch | None = None,
) -> records.RunRecord:
    """Returns the record of the run, completed.

    Args:
      run: what is settled about it; it goes on from its newest whole checkpoint.
      started: when it began, ISO 8601, UTC.
      saving: how its steps save memory.
      profile_steps: (first, end) of a profiler trace, the end excluded, which is written to the run's `profile/`.
      notice: says when the run must save its state and stop.
      reporter: is told how far the run is.
      watch: counts the runs on this host.

    Raises:
      DivergedError, PreemptedError, CheckpointError: as `train.loop.train`.
      DataError: too much of the data cannot be read.
    """
    training = finished_training.find(run.workdir)
    if training is not None:
        attempt, weights = reopen(run, training, reporter)
        with _metric_files(attempt, only_evaluates=True) as metric_files:
            return evaluate(attempt, weights, training, metric_files)
    with checkpoints.Checkpoints(run.workdir) as saved:
        attempt, state = open_new(run, started, saving, saved, reporter)
        with _metric_files(attempt) as metric_files:
            attempt, state, unreadable = _train(
                attempt, state, saved, metric_files, profile_steps, notice
            )
            peak_memory = memory.peak_bytes()
            weights = final_weights(state)
            del state  # the optimizer's half of the memory
            training = _training_record(attempt, weights, unreadable, peak_memory)
            if watch:
                training = dataclasses.replace(training, concurrent_runs=watch.most)
            save_weights(attempt.run.workdir, *weights)
            if jax.process_index() == 0:
                finished_training.write(attempt.run.workdir, training)
            return evaluate(attempt, weights, training, metric_files)


def _metric_files(attempt: Attempt, only_evaluates: bool = False) -> MetricFiles | NoFiles:
    if jax.process_index() == 0:
        return MetricFiles(attempt.run.workdir, attempt.start_step, only_evaluates)
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

    def read(first: int, end: int, size: int) -> loop.Batches:
        readers.append(train_batches(run, first, end, size))
        return _BesideSplit(readers[-1], attempt.split, size) if attempt.split else readers[-1]

    def validate(state: State) -> dict[str, float]:
        with clock.measure("evaluation"):
            predictions, _ = predict_split(
                attempt, final_weights(state), run.config.validation_split
            )
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


class _BesideSplit:
    """Drawn batches together with the split on the devices that they are drawn from."""

    def __init__(self, drawn: loader.Batches, split: DeviceSplit, image_size: int):
        self._drawn, self._split, self._image_size = drawn, split, image_size

    def __iter__(self) -> "_BesideSplit":
        return self

    def __next__(self) -> dict[str, Any]:
        return self._split.beside(next(self._drawn), self._image_size)

    def close(self) -> None:
        self._drawn.close()


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


def _training_record(
    attempt: Attempt, weights: Weights, unreadable: int, peak_memory: int | None
) -> records.RunRecord:
    """Returns what the record of the run says of its training, which is over."""
    run, clock = attempt.run, attempt.clock
    planned = with_facts(planned_record(run, attempt.started, "failed"), run)
    return dataclasses.replace(
        planned,
        timings=timings(clock),
        throughput=records.Throughput(
            train_images_per_second=run.budget.num_examples / clock["train"]
        ),
        weights_digest=weights_digest(*weights),
        unreadable_examples={"train": unreadable},
        accumulation=attempt.saving.accumulation,
        remat=attempt.saving.remat,
        peak_memory_bytes=peak_memory,
        positive_weights=by_label(run, run.positive_weights),
        budget=_spent(planned.budget, run, clock),
    )


def _spent(planned: records.Budget, run: Run, clock: Clock) -> records.Budget:
    examples = run.budget.num_examples
    return dataclasses.replace(
        planned,
        examples_spent=examples,
        train_flops_spent=float(budget.train_flops(run.train_macs, examples)),
        train_seconds_spent=clock["train"],
    )
