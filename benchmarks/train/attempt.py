"""One attempt at a run: compile, restore, train, evaluate, measure; its record at the end."""

import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from benchmarks import tasks
from benchmarks.cli import progress
from benchmarks.config import derived
from benchmarks.inference import speed as inference_speed
from benchmarks.inference.predict import predict, split_batches
from benchmarks.machine import memory, preemption
from benchmarks.machine.mesh import create_mesh, placed
from benchmarks.runs import budget
from benchmarks.runs.folder import write_class_names
from benchmarks.runs.plan import Run, train_batches, train_macs
from benchmarks.runs.record import planned_record, with_facts
from benchmarks.steps.abstract import abstract_state
from benchmarks.steps.compile import Program, compile_program
from benchmarks.steps.train_step import State, final_weights
from benchmarks.tasks import metrics
from benchmarks.train import checkpoints, loop, mistakes, step_time
from benchmarks.train.clock import Clock
from benchmarks.train.metric_files import MetricFiles, NoFiles
from benchmarks.weights.initial import initial_state
from benchmarks.weights.stored import save_weights, weights_digest
from input_pipeline import loader
from results import records
from results.records import files
from results.records import predictions as kept


def execute(
    run: Run,
    started: str,
    accumulation: int,
    profile_steps: tuple[int, int] | None,
    notice: preemption.Notice,
    reporter: progress.Reporter,
) -> records.RunRecord:
    """Returns the record of the run, completed.

    Args:
      run: what is settled about it; its newest whole checkpoint is where it goes on.
      started: when, ISO 8601, UTC.
      accumulation: in how many parts a batch is worked on.
      profile_steps: from which step to which a profiler's trace is written to the run's `profile/`.
      notice: says when the run is to save itself and stop.
      reporter: is told where the run is.

    Raises:
      DivergedError, PreemptedError, CheckpointError: see `loop.train`.
      DataError: too much of the data cannot be read.
    """
    config, num_logits = run.config, run.num_logits
    positive_weights = tasks.positive_weights(config, run.dataset)
    mesh = create_mesh()
    with checkpoints.Checkpoints(run.workdir) as saved:
        restored = saved.restore_latest(abstract_state(config, num_logits, mesh))
        start_step, state, seconds = restored or (0, None, None)
        del restored
        clock = Clock(seconds)
        reporter.report(progress.Event("compiling", step=start_step))
        # Weights are drawn while XLA compiles: for a large network either takes seconds.
        with concurrent.futures.ThreadPoolExecutor(1) as pool, clock.measure("compile"):
            compiling = pool.submit(
                compile_program, config, num_logits, mesh, accumulation, positive_weights
            )
            if state is None:
                state = initial_state(config, num_logits, run.budget.steps or 1, mesh)
            compiled = compiling.result()
        if run.budget.steps is None:
            reporter.report(progress.Event("calibrating"))
            run, state = step_time.calibrate(run, compiled, state, start_step)
        schedule = loop.Schedule(
            start_step=start_step,
            num_steps=run.budget.steps,
            part_ends=loop.part_ends(derived.train_sizes(config), run.budget.steps),
            batch_size=config.batch_size,
            log_every_steps=config.log_every_steps,
            checkpoint_every_steps=config.checkpoint_every_steps,
            validate_every_steps=config.validate_every_steps,
            profile_steps=profile_steps,
            profile_dir=run.workdir / "profile",
        )
        readers: list[loader.Batches] = []

        def read(first: int, end: int, size: int) -> loader.Batches:
            readers.append(train_batches(run, first, end, size))
            return readers[-1]

        def validate(state: State) -> dict[str, float]:
            with clock.measure("evaluation"):
                weights = final_weights(state)
                predictions, _ = _predict(run, compiled, *weights, config.validation_split)
            return run.task.metrics(predictions, run.task.thresholds(predictions))

        with _metric_files(run.workdir, start_step) as metric_files:
            state = loop.train(
                compiled,
                state,
                read,
                schedule,
                clock=clock,
                files=metric_files,
                checkpoints=saved,
                reporter=reporter,
                notice=notice,
                validate=validate,
            )
            peak_memory = memory.peak_bytes()
            reporter.report(
                progress.Event("evaluating", step=run.budget.steps, steps=run.budget.steps)
            )
            params, batch_stats = final_weights(state)
            del state  # the optimiser's half of the memory
            with clock.measure("evaluation"):
                measured, unreadable, decision = _evaluate(run, compiled, params, batch_stats)
            for split, values in measured.items():
                metric_files.write(run.budget.steps, metrics.named(split, values))
        answers = inference_speed.measure(config, compiled, params, batch_stats, num_logits)
        digest = weights_digest(params, batch_stats)
        save_weights(run.workdir, params, batch_stats)
        if jax.process_index() == 0:
            write_class_names(run.workdir, run.dataset.class_names)
        record = dataclasses.replace(
            with_facts(planned_record(run, started, "completed"), run),
            metrics=records.Metrics(**measured),
            timings=_timings(clock),
            throughput=records.Throughput(
                train_images_per_second=run.budget.examples / clock["train"],
                infer_images_per_second=answers.images_per_second,
                infer_latency_p50_ms=answers.latency_p50_ms,
                infer_latency_p99_ms=answers.latency_p99_ms,
            ),
            weights_digest=digest,
            unreadable_examples={"train": sum(len(each.faults) for each in readers)} | unreadable,
            accumulation=accumulation,
            peak_memory_bytes=peak_memory,
            decision=decision,
            positive_weights=_by_label(run, positive_weights),
        )
        record = _with_spending(record, run, clock)
        if jax.process_index() == 0:
            mistakes.try_to_write(run.workdir, record, run.config, run.dataset)
    return record


def _metric_files(workdir, start_step: int) -> MetricFiles | NoFiles:
    return MetricFiles(workdir, start_step) if jax.process_index() == 0 else NoFiles()


def _evaluate(run: Run, compiled: Program, params, batch_stats):
    """Returns, the test split being read last and once: metrics by split, unreadable examples by split, the decision.

    Thresholds are chosen on the validation split, and are a half without one. What was predicted for each example is
    kept in the run's `predictions/`.
    """
    thresholds = run.task.default_thresholds(run.num_logits)
    splits = {"validation": run.config.validation_split, "test": run.config.test_split}
    measured, unreadable = {}, {}
    for name, split in splits.items():
        if not split:
            continue
        predictions, unreadable[name] = _predict(run, compiled, params, batch_stats, split)
        if name == "validation":
            thresholds = run.task.thresholds(predictions)
        measured[name] = run.task.metrics(predictions, thresholds)
        if jax.process_index() == 0:
            files.write_arrays(run.workdir / kept.FOLDER / f"{name}.npz", predictions)
    return measured, unreadable, _decision(run, thresholds)


def _decision(run: Run, thresholds: np.ndarray | None) -> records.Decision | None:
    found = _by_label(run, thresholds)
    return records.Decision(found) if found else None


def _by_label(run: Run, values: Sequence[float] | None) -> dict[str, float] | None:
    """Returns the values by what their logits speak for, None where there are none."""
    if values is None or not len(values):
        return None
    return dict(zip(run.logit_names, map(float, values), strict=True))


def _predict(
    run: Run, compiled: Program, params, batch_stats, split: str
) -> tuple[metrics.Predictions, int]:
    """Returns the predictions of a split and how many of its examples could not be read."""
    with contextlib.closing(split_batches(run.config, run.dataset, split)) as batches:
        predictions = predict(
            compiled.eval_step, params, batch_stats, placed(batches, compiled.mesh)
        )
        return predictions, len(batches.faults)


def _with_spending(record: records.RunRecord, run: Run, clock: Clock) -> records.RunRecord:
    spent = dataclasses.replace(
        record.budget,
        examples_spent=run.budget.examples,
        train_flops_spent=float(
            budget.train_flops(train_macs(run.config, run.num_logits), run.budget.examples)
        ),
        train_seconds_spent=clock["train"],
    )
    return dataclasses.replace(record, budget=spent)


def _timings(clock: Clock) -> records.Timings:
    return records.Timings(
        **{f"{name}_seconds": seconds for name, seconds in clock.seconds().items()}
    )
