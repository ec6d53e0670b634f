"""The result of an evaluation, as the command prints it and as the tables read it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import models
from benchmarks.runs.record import now
from results import records
from results.records import evaluations

# The dataset of the registry's published figures.
_REPORTED_ON = "imagenet2012"
_SPOKEN = {"top1": "top-1", "top5": "top-5", "ece": "calibration error", "roc_auc": "ROC AUC"}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well a model does on a split.

    Attributes:
      weights: the run's folder or the file.
      image_size: pixels a side.
      crop_fraction: the fraction of the shorter side that was kept.
      crops: how many crops' predictions were averaged.
      metrics: those of the run's task, named as in `results.records.Metrics`; decided by the thresholds in the run's
        record, if the task has any.
      num_classes: how many classes the model chose among.
      left_out: how many examples have no label among those, and so do not count.
      compression: what was done to the weights; None if nothing.
    """

    model: str
    weights: str
    dataset: str
    dataset_version: str
    split: str
    image_size: int
    crop_fraction: float
    crops: int
    dtype: str
    metrics: Mapping[str, float]
    num_classes: int
    left_out: int = 0
    compression: evaluations.Compression | None = None


def to_record(
    evaluation: Evaluation, name: str, run: records.RunRecord, options: Mapping[str, Any]
) -> evaluations.EvaluationRecord:
    """Returns the record of an evaluation of a run's weights with these options of the command, for the tables."""
    chosen = "".join(f" --{option}={value}" for option, value in options.items())
    return evaluations.EvaluationRecord(
        name=name,
        run_id=run.run_id,
        weights_digest=run.weights_digest or "",
        dataset=evaluation.dataset,
        dataset_version=evaluation.dataset_version,
        split=evaluation.split,
        metrics=evaluation.metrics,
        examples=int(evaluation.metrics["examples"]),
        left_out=evaluation.left_out,
        num_classes=evaluation.num_classes,
        image_size=evaluation.image_size,
        crop_fraction=evaluation.crop_fraction,
        command=f"python -m benchmarks.evaluate --workdir=RUN{chosen} --name={name}",
        finished_at=now(),
        compression=evaluation.compression,
    )


def describe(evaluation: Evaluation) -> str:
    """Returns the lines that the command prints."""
    lines = [
        f"{evaluation.model} ({evaluation.weights}) on {evaluation.dataset} {evaluation.split}:"
        f" {evaluation.metrics['examples']:,} examples at {evaluation.image_size} px, {evaluation.dtype}",
        "  ".join(
            f"{_SPOKEN.get(name, name.replace('_', ' '))} "
            + (f"{value:.4f}" if name == "loss" else f"{value:.3%}")
            for name, value in evaluation.metrics.items()
            if name != "examples"
        ),
    ]
    if evaluation.left_out:
        lines.append(
            f"{evaluation.left_out:,} examples without a label among the {evaluation.num_classes:,} classes left out"
        )
    if evaluation.compression:
        lines.append(_describe_compression(evaluation.compression))
    if evaluation.dataset.partition(":")[0] == _REPORTED_ON:
        name, options = models.parse(evaluation.model)
        for reported in models.info(name).reported_at(evaluation.image_size, options):
            top5 = f"  top-5 {reported.top5:.3%}" if reported.top5 else ""
            lines.append(f"top-1 {reported.top1:.3%}{top5}  reported: {reported.source}")
    return "\n".join(lines)


def _describe_compression(made: evaluations.Compression) -> str:
    return (
        f"weights of {made.weight_bits} bits, {made.sparsity:.0%} of them 0: {made.bytes:,} bytes,"
        f" {made.dense_bytes / made.bytes:.2f} times less than the {made.dense_bytes:,} of float32"
    )
