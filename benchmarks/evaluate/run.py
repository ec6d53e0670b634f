"""Evaluating a run's weights, or those of a file, on any split."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np

import models
from benchmarks import tasks
from benchmarks.cli import progress
from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.evaluate import compression, subsets
from benchmarks.evaluate.report import Evaluation, to_record
from benchmarks.inference import trained_model
from benchmarks.inference.predict import predict, split_batches
from benchmarks.machine.mesh import create_mesh, placed, replicate
from benchmarks.steps.eval_step import lower_eval_step
from benchmarks.steps.pure_model import PureModel
from input_pipeline import datasets
from results.records import evaluations

# What flags call the fields of a configuration that they change.
_FLAGS = {
    "dataset": "dataset",
    "data_dir": "data_dir",
    "image_size": "image_size",
    "crop_fraction": "crop_fraction",
    "eval_crops": "crops",
    "eval_batch_size": "batch_size",
    "num_workers": "num_workers",
    "dtype": "dtype",
}
# Changes that are about this machine, and not the figures.
_LOCAL = ("data_dir", "num_workers")
_WEIGHTS_DATASET, _WEIGHTS_SPLIT = "imagenet2012", "validation"


def evaluate_run(
    workdir: str | Path,
    split: str | None = None,
    *,
    subset: str | None = None,
    weight_bits: int = compression.FLOAT_BITS,
    sparsity: float = 0.0,
    name: str = "",
    reporter: progress.Reporter | None = None,
    **changes,
) -> Evaluation:
    """Evaluates the weights of a finished run.

    Args:
      workdir: the run's folder.
      split: of the run's dataset; its test split unless given.
      subset: see `subsets.choose`; what is usual for the dataset unless given.
      weight_bits, sparsity: see `compression.compress`.
      name: what `WORKDIR/evaluations/NAME.json` is called, from where tables take it; nothing is written without one.
      reporter: is told where the evaluation is.
      **changes: fields of the run's configuration to change: `dataset`, `image_size`, `crop_fraction`, `dtype`, ...

    Raises:
      ConfigError, ModelError, DataError: one sentence on what is wrong, damaged weights included.
    """
    if name:
        evaluations.path_of(workdir, name)  # refuses one that is no file's before the work is done
    run = trained_model.from_run(workdir, **changes)
    facts = None
    if (weight_bits, sparsity) != (compression.FLOAT_BITS, 0.0):
        run, facts = _compressed(run, weight_bits, sparsity)
    found = _evaluate(run, split or run.config.test_split, subset, reporter)
    found = dataclasses.replace(found, compression=facts)
    if name:
        options = {_FLAGS[field]: value for field, value in changes.items() if field not in _LOCAL}
        options |= {"split": found.split} | ({"subset": subset} if subset else {})
        if facts:
            options |= {"weight_bits": weight_bits, "sparsity": sparsity}
        evaluations.write(to_record(found, name, run.record, options), workdir)
    return found


def _compressed(
    run: trained_model.Trained, weight_bits: int, sparsity: float
) -> tuple[trained_model.Trained, evaluations.Compression]:
    """Returns a run with smaller weights, and what they take."""
    abstract = models.create_abstract(run.config.model, run.record.model.num_classes)
    auxiliary = compression.auxiliary_names(abstract)
    smaller = compression.compress(run.params, run.batch_stats, weight_bits, sparsity, auxiliary)
    params = replicate(smaller.params, create_mesh())
    return dataclasses.replace(run, params=params), smaller.facts


def evaluate_weights(
    model: str,
    weights: str | Path,
    dataset: str = _WEIGHTS_DATASET,
    split: str = _WEIGHTS_SPLIT,
    *,
    subset: str | None = None,
    reporter: progress.Reporter | None = None,
    **changes,
) -> Evaluation:
    """Evaluates the weights of a `.pth` or `.safetensors` file.

    Args:
      model: `name` or `name:option=value,...`.
      weights: see `models.pretrained.load`.
      dataset: as `input_pipeline.datasets.load` takes it; its labels are the weights' classes, in their order.
      split: of the dataset.
      subset: see `subsets.choose`; what is usual for the dataset unless given.
      reporter: is told where the evaluation is.
      **changes: fields of the configuration: `data_dir`, `image_size`, `crop_fraction`, `eval_batch_size`, `dtype`, ...

    Raises:
      ConfigError, ModelError, DataError: one sentence on what is wrong.
    """
    found = trained_model.from_weights(model, weights, dataset=dataset, **changes)
    return _evaluate(found, split, subset, reporter)


def _evaluate(
    found: trained_model.Trained, split: str, subset: str | None, reporter: progress.Reporter | None
) -> Evaluation:
    config, params, batch_stats = found.config, found.params, found.batch_stats
    dataset = datasets.load(config.dataset, config.data_dir or None, config.positive_class)
    dataset.num_examples(split)
    model, num_classes = _fitting(found, dataset, split, subset)
    mesh = create_mesh()
    with reporter or progress.create("lines", config.model) as reporter:
        reporter.report(progress.Event("compiling"))
        eval_step = lower_eval_step(config, model, params, batch_stats, mesh).compile()
        reporter.report(progress.Event("evaluating"))
        with contextlib.closing(split_batches(config, dataset, split)) as batches:
            predictions = predict(eval_step, params, batch_stats, placed(batches, mesh))
    return Evaluation(
        model=found.label,
        weights=found.source,
        dataset=dataset.name,
        dataset_version=dataset.version,
        split=split,
        image_size=derived.image_size(config),
        crop_fraction=config.crop_fraction,
        crops=config.eval_crops,
        dtype=config.dtype,
        metrics=model.task.metrics(predictions, found.thresholds),
        num_classes=num_classes,
        left_out=int(np.sum(~predictions["counted"])) if "counted" in predictions else 0,
    )


def _fitting(
    found: trained_model.Trained, dataset: datasets.Dataset, split: str, subset: str | None
) -> tuple[PureModel, int]:
    """Returns the model as it answers what the dataset asks, and among how many classes it then chooses."""
    model = found.model
    subset = subsets.usual(dataset.name) if subset is None else subset
    if subset or (dataset.multi_label and model.task is tasks.SINGLE_LABEL):
        model = subsets.restrict(model, dataset, split, subset, lambda: found.class_names)
        return model, len(model.task.choice.classes)
    model.task.check(dataset)
    num_classes = len(model.task.logit_names(dataset.class_names))
    if num_classes != model.num_logits:
        raise ConfigError(
            f"{found.source} tells {model.num_logits} classes apart and {dataset.name} has {num_classes};"
            f" --subset={subsets.NAMES} finds classes by their names."
        )
    return model, num_classes
