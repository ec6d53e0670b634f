"""The result of an evaluation, as the command prints it and as the tables read it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import models
from benchmarks.runs.record import now
from models.weight_description import CONVENTIONS
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
      subset: what narrowed the choice, as --subset takes it; empty if nothing did.
      dataset_classes: how many of the model's classes the dataset has.
      model_classes: how many classes the model tells apart.
      needs: what the weights need, as they were used: a `models.weight_description.WeightDescription` as JSON, whose
        `assumed` has the names of what is the registry's for want of another word.
      described_in: the file that describes the weights; empty for a run, and if there is none.
      overridden: what was described otherwise than it was used, as (described, used) by name.
      remarks: the same in words.
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
    subset: str = ""
    dataset_classes: int = 0
    model_classes: int = 0
    needs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    described_in: str = ""
    overridden: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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
        needs=evaluation.needs,
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
    lines += [*_describe_choice(evaluation), *_describe_needs(evaluation)]
    if evaluation.left_out:
        lines.append(
            f"{evaluation.left_out:,} examples without a label among the {evaluation.num_classes:,} classes left out"
        )
    if evaluation.dataset.partition(":")[0] == _REPORTED_ON:
        name, options = models.parse(evaluation.model)
        for reported in models.info(name).reported_at(evaluation.image_size, options):
            top5 = f"  top-5 {reported.top5:.3%}" if reported.top5 else ""
            lines.append(f"top-1 {reported.top1:.3%}{top5}  reported: {reported.source}")
    return "\n".join(lines)


def _describe_choice(evaluation: Evaluation) -> list[str]:
    """Returns a line on the classes, if they are not simply the model's own."""
    among, present, of = (
        f"{count:,}"
        for count in (
            evaluation.num_classes,
            evaluation.dataset_classes,
            evaluation.model_classes,
        )
    )
    if evaluation.subset:
        return [
            f"the choice was narrowed to {among} of the model's {of} classes (--subset={evaluation.subset}), which is"
            " easier than among all"
        ]
    if present == of:
        return []
    return [
        f"the pictures are of {present} of the model's {of} classes, and it chose among all {of}"
    ]


def _describe_needs(evaluation: Evaluation) -> list[str]:
    """Returns lines on how pictures were fed to the model, if that is known."""
    needs = evaluation.needs
    if not needs:
        return []
    numbers = {name: ",".join(f"{each:g}" for each in needs[name]) for name in ("mean", "std")}
    origin = f" ({evaluation.described_in})" if evaluation.described_in else ""
    lines = [
        f"fed {needs['channel_order'].upper()}, mean {numbers['mean']}, deviation {numbers['std']},"
        f" crop {needs['crop_fraction']:.4g}, {needs['interpolation']}"
        + "".join(
            f", {name} {needs['options'][name]}" for name in CONVENTIONS if name in needs["options"]
        )
        + origin
    ]
    if needs["assumed"]:
        lines.append(
            f"assumed, as nothing beside the weights says it: {', '.join(needs['assumed'])} (docs/weights.md)"
        )
    return lines + [f"changed: {each}" for each in evaluation.remarks]
