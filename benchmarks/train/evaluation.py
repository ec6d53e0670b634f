"""What a trained run reaches on its splits, how fast it answers, and the record of both."""

import contextlib
import dataclasses
import math
import sys
from collections.abc import Sequence

import jax
import numpy as np

from benchmarks.cli import progress
from benchmarks.errors import DivergedError
from benchmarks.inference import speed as inference_speed
from benchmarks.inference.predict import predict, split_batches
from benchmarks.machine import environment
from benchmarks.machine.mesh import placed
from benchmarks.runs import caching
from benchmarks.runs.folder import write_class_names
from benchmarks.runs.plan import Run
from benchmarks.runs.record import now, planned_record
from benchmarks.tasks import metrics
from benchmarks.train import mistakes
from benchmarks.train.clock import Clock
from benchmarks.train.metric_files import MetricFiles, NoFiles
from benchmarks.train.opening import Attempt, Weights
from results import records
from results.records import files, layout


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


def evaluate(
    attempt: Attempt,
    weights: Weights,
    training: records.RunRecord,
    metric_files: MetricFiles | NoFiles,
) -> records.RunRecord:
    """Returns the record of the run, completed, after evaluating its weights.

    Raises:
      DivergedError: a loss is not finite.
      DataError: too much of the data cannot be read.
    """
    num_steps = attempt.run.budget.num_steps
    evaluated = _evaluate_splits(attempt, weights)
    for split, values in evaluated.metrics.items():
        if not math.isfinite(values["loss"]):
            raise DivergedError(num_steps, values["loss"], math.nan)
        metric_files.write(num_steps, metrics.named(split, values))
    return _record(attempt, weights, evaluated, training)


def _evaluate_splits(attempt: Attempt, weights: Weights) -> Evaluated:
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
            predictions, evaluated.unreadable[name] = predict_split(attempt, weights, split)
            if name == "validation":
                chosen = run.task.thresholds(predictions)
                evaluated = dataclasses.replace(evaluated, thresholds=chosen)
            evaluated.metrics[name] = run.task.metrics(predictions, evaluated.thresholds)
            if jax.process_index() == 0:
                files.write_arrays(layout.predictions_in(run.workdir, name), predictions)
    return evaluated


def predict_split(
    attempt: Attempt, weights: Weights, split: str
) -> tuple[metrics.Predictions, int]:
    """Returns the predictions of a split and how many of its examples could not be read."""
    run, program, kept = attempt.run, attempt.program, attempt.kept_batches
    if split in kept:
        on_devices, unreadable = kept[split]
        return predict(program.eval_step, *weights, on_devices), unreadable
    with contextlib.closing(split_batches(run.setup, run.dataset, split)) as batches:
        read = placed(batches, program.mesh)
        if split == run.config.validation_split and caching.keeps_validation(run.config):
            read_once = list(read)
            kept[split] = read_once, len(batches.faults)
            return predict(program.eval_step, *weights, read_once), len(batches.faults)
        predictions = predict(program.eval_step, *weights, read)
        return predictions, len(batches.faults)


def _record(
    attempt: Attempt, weights: Weights, evaluated: Evaluated, training: records.RunRecord
) -> records.RunRecord:
    """Returns the record of the run, after measuring its inference speed.

    Args:
      attempt: the one that evaluated it.
      weights: its parameters and batch statistics.
      evaluated: how it does.
      training: what is known of its training, which another attempt may have made.
    """
    run = attempt.run
    planned = planned_record(run, attempt.started, "completed")
    unreadable = {"train": (training.unreadable_examples or {}).get("train", 0)}
    record = dataclasses.replace(
        training,
        run_id=planned.run_id,
        status="completed",
        error=None,
        dataset=planned.dataset,
        config=planned.config,
        metrics=records.Metrics(**evaluated.metrics),
        throughput=_with_inference_speed(attempt, weights, training),
        timings=timings(attempt.clock),
        unreadable_examples=unreadable | evaluated.unreadable,
        decision=_decision(run, evaluated.thresholds),
        finished_at=now(),
    )
    if jax.process_index() == 0:
        write_class_names(run.workdir, run.dataset.class_names)
        mistakes.try_to_write(run.workdir, record, run.setup, run.dataset)
    return record


def _with_inference_speed(
    attempt: Attempt, weights: Weights, training: records.RunRecord
) -> records.Throughput:
    """Returns how fast the run trained, and how fast it answers if this is the machine that its record names."""
    here = environment.hardware(attempt.run.config.dtype), environment.software()
    there = dict(training.hardware), dict(training.software)
    here[0].pop("memory_bytes"), there[0].pop("memory_bytes", None)  # a kernel keeps some of it
    if here != there:
        print(
            "warning: this is not the machine, or not the software, that the run was trained with; its inference speed"
            " is not measured",
            file=sys.stderr,
            flush=True,
        )
        return records.Throughput(training.throughput.train_images_per_second)
    speed = inference_speed.measure(attempt.run.setup, attempt.program, *weights)
    return dataclasses.replace(
        training.throughput,
        infer_images_per_second=speed.images_per_second,
        infer_latency_p50_ms=speed.latency_p50_ms,
        infer_latency_p99_ms=speed.latency_p99_ms,
    )


def timings(clock: Clock) -> records.Timings:
    return records.Timings(
        **{f"{name}_seconds": seconds for name, seconds in clock.seconds().items()}
    )


def _decision(run: Run, thresholds: np.ndarray | None) -> records.Decision | None:
    named = by_label(run, thresholds)
    return records.Decision(named) if named else None


def by_label(run: Run, values: Sequence[float] | np.ndarray | None) -> dict[str, float] | None:
    """Returns the values by the names of their logits; None if there are none."""
    if values is None or not len(values):
        return None
    return dict(zip(run.logit_names, map(float, values), strict=True))
