"""The accuracy of trained or of published weights on a split, every example counted exactly once.

    python -m benchmarks.evaluate --workdir=runs/digits/runs/resnet50-seed0 --split=validation
    python -m benchmarks.evaluate --model=resnet50 --weights=resnet50-0676ba61.pth --dataset=imagenet2012

Published weights are evaluated as their authors did: the model's own size, resizing and normalisation, unless
`--image_size` and `--crop_fraction` say otherwise (torchvision's V2 weights want --crop_fraction=0.9655, a resize to
232). Prints the figures; `--out` writes them as JSON.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from absl import flags

import models
from benchmarks import (
    commands,
    devices,
    evaluation,
    program,
    progress,
    tasks,
    trained,
)
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from results import files

_SPOKEN = {"top1": "top-1", "top5": "top-5", "ece": "calibration error", "roc_auc": "ROC AUC"}
_WEIGHTS_DATASET, _WEIGHTS_SPLIT = "imagenet2012", "validation"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a split.

    Attributes:
      weights: the run's folder or the file.
      image_size: pixels a side.
      crop_fraction: the part of the shorter side that was seen.
      crops: how many crops' predictions were averaged.
      metrics: of the run's task, as `results.schema.Metrics` names them; what is decided by a threshold is decided by
        those of the run's record.
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


def evaluate_run(
    workdir: str | Path,
    split: str | None = None,
    *,
    reporter: progress.Reporter | None = None,
    **changes,
) -> Evaluation:
    """Evaluates the weights of a finished run.

    Args:
      workdir: the run's folder.
      split: of the run's dataset; its test split unless given.
      reporter: is told where the evaluation is.
      **changes: fields of the run's configuration to change: `dataset`, `image_size`, `crop_fraction`, `dtype`, ...

    Raises:
      ConfigError, ModelError, DataError: one sentence on what is wrong, damaged weights included.
    """
    found = trained.from_run(workdir, **changes)
    return _evaluate(found, split or found.config.test_split, reporter)


def evaluate_weights(
    model: str,
    weights: str | Path,
    dataset: str = _WEIGHTS_DATASET,
    split: str = _WEIGHTS_SPLIT,
    *,
    reporter: progress.Reporter | None = None,
    **changes,
) -> Evaluation:
    """Evaluates the weights of a `.pth` or `.safetensors` file.

    Args:
      model: `name` or `name:option=value,...`.
      weights: see `models.pretrained.load`.
      dataset: as `input_pipeline.datasets.load` takes it; its labels are the weights' classes, in their order.
      split: of the dataset.
      reporter: is told where the evaluation is.
      **changes: fields of the configuration: `data_dir`, `image_size`, `crop_fraction`, `eval_batch_size`, `dtype`, ...

    Raises:
      ConfigError, ModelError, DataError: one sentence on what is wrong.
    """
    found = trained.from_weights(model, weights, dataset=dataset, **changes)
    return _evaluate(found, split, reporter)


def _evaluate(found: trained.Trained, split: str, reporter: progress.Reporter | None) -> Evaluation:
    config, params, batch_stats = found.config, found.params, found.batch_stats
    dataset = tasks.load_dataset(config)
    wanted = len(found.model.task.logit_names(dataset.class_names))
    if wanted != found.model.num_logits:
        raise ConfigError(
            f"{found.source} tells {found.model.num_logits} classes apart and {dataset.name}"
            f" has {wanted}."
        )
    dataset.num_examples(split)
    mesh = devices.create_mesh()
    with reporter or progress.create("lines", config.model) as reporter:
        reporter.report(progress.Event("compiling"))
        lowered = program.lower_eval_step(config, found.model, params, batch_stats, mesh)
        eval_step = lowered.compile()
        reporter.report(progress.Event("evaluating"))
        with contextlib.closing(evaluation.batches(config, dataset, split)) as batches:
            predictions = evaluation.predict(
                eval_step, params, batch_stats, devices.placed(batches, mesh)
            )
    return Evaluation(
        model=found.label,
        weights=found.source,
        dataset=dataset.name,
        dataset_version=dataset.version,
        split=split,
        image_size=config_lib.image_size(config),
        crop_fraction=config.crop_fraction,
        crops=config.eval_crops,
        dtype=config.dtype,
        metrics=found.model.task.metrics(predictions, found.thresholds),
    )


def describe(found: Evaluation) -> str:
    """Returns the lines that the command prints."""
    lines = [
        f"{found.model} ({found.weights}) on {found.dataset} {found.split}:"
        f" {found.metrics['examples']:,} examples at {found.image_size} px, {found.dtype}",
        "  ".join(
            f"{_SPOKEN.get(name, name.replace('_', ' '))} "
            + (f"{value:.4f}" if name == "loss" else f"{value:.3%}")
            for name, value in found.metrics.items()
            if name != "examples"
        ),
    ]
    if found.dataset.partition(":")[0] == _WEIGHTS_DATASET:
        info = models.info(found.model)
        for reported in filter(None, (info.reported, *info.also_reported)):
            top5 = f"  top-5 {reported.top5:.3%}" if reported.top5 else ""
            lines.append(f"top-1 {reported.top1:.3%}{top5}  reported: {reported.source}")
    return "\n".join(lines)


def define_flags() -> None:
    trained.define_flags()
    flags.DEFINE_string("dataset", None, f"The run's, or {_WEIGHTS_DATASET}, by default.")
    flags.DEFINE_string("split", None, "The run's test split, or validation, by default.")
    flags.DEFINE_string("data_dir", None, "Where prepared datasets lie.")
    flags.DEFINE_string("image_size", None, "Pixels a side; the run's or the model's by default.")
    flags.DEFINE_float("crop_fraction", None, "The part of the shorter side that is seen.")
    flags.DEFINE_integer("crops", None, "Whose predictions are averaged: 1, or 10.")
    flags.DEFINE_integer("batch_size", None, "Images in a batch, over all devices.", lower_bound=1)
    flags.DEFINE_integer("num_workers", None, "Processes that read; 0 for threads.", lower_bound=0)
    flags.DEFINE_enum("dtype", None, config_lib.DTYPES, "Of the computation.")
    flags.DEFINE_string("out", None, "A JSON file to write.")


def main() -> int:
    commands.restart_with_allocator()
    commands.use_compilation_cache()
    given = flags.FLAGS
    changes = {
        "dataset": given.dataset,
        "data_dir": given.data_dir,
        "image_size": given.image_size,
        "crop_fraction": given.crop_fraction,
        "eval_crops": given.crops,
        "eval_batch_size": given.batch_size,
        "num_workers": given.num_workers,
        "dtype": given.dtype,
    }
    changes = {field: value for field, value in changes.items() if value is not None}
    if given.split:
        changes["split"] = given.split
    title = Path(given.workdir or given.weights or "").name
    changes["reporter"] = progress.create("auto", title)
    if given.workdir and not (given.model or given.weights):
        found = evaluate_run(given.workdir, **changes)
    elif given.model and given.weights and not given.workdir:
        found = evaluate_weights(given.model, given.weights, **changes)
    else:
        raise ConfigError("say --workdir, or --model and --weights.")
    print(describe(found))
    if given.out:
        files.write_atomically(given.out, json.dumps(dataclasses.asdict(found), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    commands.run(main, define_flags)
