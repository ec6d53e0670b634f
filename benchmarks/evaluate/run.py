"""Evaluating a run's weights, or those of a file, on any split."""

import contextlib
from pathlib import Path

import numpy as np

from benchmarks import tasks
from benchmarks.cli import progress
from benchmarks.errors import ConfigError
from benchmarks.evaluate import subsets
from benchmarks.evaluate.report import Evaluation, to_record
from benchmarks.inference import trained_model
from benchmarks.inference.predict import predict, split_batches
from benchmarks.inference.trained_model import TrainedModel
from benchmarks.machine.mesh import create_mesh, placed
from benchmarks.steps.eval_step import lower_eval_step
from benchmarks.steps.pure_model import PureModel
from benchmarks.tasks import metrics
from input_pipeline import datasets
from results.records import evaluations

# The flag that changes each of these fields of the configuration.
FLAGS = {
    "dataset": "dataset",
    "data_dir": "data_dir",
    "image_size": "image_size",
    "crop_fraction": "crop_fraction",
    "interpolation": "interpolation",
    "mean": "mean",
    "std": "std",
    "eval_crops": "crops",
    "eval_batch_size": "batch_size",
    "num_workers": "num_workers",
    "dtype": "dtype",
}
# Fields that concern this machine and do not change the figures.
_LOCAL = ("data_dir", "num_workers")
WEIGHTS_DATASET, WEIGHTS_SPLIT = "imagenet2012", "validation"


def evaluate_run(
    workdir: str | Path,
    split: str | None = None,
    *,
    subset: str | None = None,
    name: str = "",
    reporter: progress.Reporter | None = None,
    **changes,
) -> Evaluation:
    """Evaluates the weights of a finished run.

    Args:
      workdir: the run's folder.
      split: a split of the run's dataset; by default its test split.
      subset: see `subsets.choose`; by default what is usual for the dataset.
      name: the result is also written to `WORKDIR/evaluations/NAME.json`, which the tables read; not if empty.
      reporter: is told how far the evaluation is.
      **changes: fields of the run's configuration to change: `dataset`, `image_size`, `crop_fraction`, `dtype`, ...

    Raises:
      ConfigError, ModelError, DataError: one sentence on what is wrong, damaged weights included.
    """
    if name:
        evaluations.path_of(workdir, name)  # refuses an impossible name before the work is done
    trained = trained_model.from_run(workdir, **changes)
    split = split or trained.config.test_split
    evaluation, predictions = evaluate_model(trained, split, subset, reporter)
    if name:
        options = {
            FLAGS[field]: ",".join(map(str, value)) if field in ("mean", "std") else value
            for field, value in changes.items()
            if field not in _LOCAL
        }
        options |= {"split": evaluation.split} | ({"subset": subset} if subset else {})
        record = to_record(evaluation, name, trained.run_record, options)
        evaluations.write(record, workdir, predictions)
    return evaluation


def evaluate_weights(
    model: str | None,
    weights: str | Path,
    dataset: str = WEIGHTS_DATASET,
    split: str = WEIGHTS_SPLIT,
    *,
    subset: str | None = None,
    reporter: progress.Reporter | None = None,
    **changes,
) -> Evaluation:
    """Evaluates the weights of a file, fed as its description says, or else as the model's authors feed it.

    Args:
      model: `name` or `name:option=value,...`; None for the one that is described beside the file.
      weights: see `models.pretrained.load`.
      dataset: as `input_pipeline.datasets.load` takes it; its classes are the weights', by name or, if they are as
        many, by their order.
      split: of the dataset.
      subset: see `subsets.choose`; by default what is usual for the dataset.
      reporter: is told how far the evaluation is.
      **changes: see `trained_model.from_weights`.

    Raises:
      ConfigError, ModelError, DataError: one sentence on what is wrong.
    """
    trained = trained_model.from_weights(model, weights, dataset=dataset, **changes)
    return evaluate_model(trained, split, subset, reporter)[0]


def evaluate_model(
    trained: TrainedModel, split: str, subset: str | None, reporter: progress.Reporter | None
) -> tuple[Evaluation, metrics.Predictions]:
    """Evaluates a model on a split; the arguments are those of `evaluate_run`.

    Returns:
      How it does, and what it says of each example, as the task predicts it.
    """
    config, setup = trained.config, trained.setup
    dataset = datasets.load(config.dataset, config.data_dir or None, config.positive_class)
    dataset.num_examples(split)
    subset = subsets.usual(dataset.name) if subset is None else subset
    model, choice = _fitting(trained, dataset, split, subset)
    mesh = create_mesh()
    with reporter or progress.create("lines", config.model) as reporter:
        reporter.report(progress.Event("compiling"))
        weights = trained.params, trained.batch_stats
        eval_step = lower_eval_step(setup, model, *weights, mesh).compile()
        reporter.report(progress.Event("evaluating"))
        with contextlib.closing(split_batches(setup, dataset, split)) as batches:
            predictions = predict(eval_step, *weights, placed(batches, mesh))
    evaluation = Evaluation(
        model=trained.label,
        weights=trained.source,
        dataset=dataset.name,
        dataset_version=dataset.version,
        split=split,
        image_size=trained.image_size,
        crop_fraction=config.crop_fraction,
        crops=config.eval_crops,
        dtype=config.dtype,
        metrics=model.task.metrics(predictions, trained.thresholds),
        num_classes=len(choice.classes) if choice else model.num_logits,
        left_out=int(np.sum(~predictions["counted"])) if "counted" in predictions else 0,
        subset=subset,
        dataset_classes=len({*choice.places} - {-1}) if choice else model.num_logits,
        model_classes=model.num_logits,
        needs=trained.needs.to_json(),
        described_in=trained.described_in,
        overridden=trained.overridden,
        remarks=trained.remarks,
    )
    return evaluation, predictions


def _fitting(
    trained: TrainedModel, dataset: datasets.Dataset, split: str, subset: str
) -> tuple[PureModel, subsets.Choice | None]:
    """Returns the model for the dataset's labels and what it chooses among; None if these are its logits in order."""
    model = trained.model
    several = dataset.multi_label and model.task is tasks.SINGLE_LABEL
    by_number = model.task is not tasks.SINGLE_LABEL or _is_own(trained, dataset)
    if by_number and not subset and not several:
        _check_as_many(trained, dataset)
        return model, None
    choice = subsets.choose_for(model, dataset, split, subset, lambda: trained.class_names)
    in_order = tuple(range(model.num_logits))
    if choice.classes == choice.places == in_order and not several:
        return model, None
    return subsets.restrict(model, dataset, choice), choice


def _is_own(trained: TrainedModel, dataset: datasets.Dataset) -> bool:
    return bool(trained.record) and dataset.name == trained.run_record.dataset.name


def _check_as_many(trained: TrainedModel, dataset: datasets.Dataset) -> None:
    trained.model.task.check(dataset)
    num_classes = len(trained.model.task.logit_names(dataset.class_names))
    if num_classes != trained.model.num_logits:
        raise ConfigError(
            f"{trained.source} tells {trained.model.num_logits} classes apart and {dataset.name} has {num_classes}."
        )
