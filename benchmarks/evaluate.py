"""The accuracy of trained or of published weights on a split, every example counted exactly once.

    python -m benchmarks.evaluate --workdir=runs/digits/runs/resnet50-seed0 --split=validation
    python -m benchmarks.evaluate --model=resnet50 --weights=resnet50-0676ba61.pth --dataset=imagenet2012

Published weights are evaluated as their authors did: the model's own size, resizing and normalisation, unless
`--image_size` and `--crop_fraction` say otherwise (torchvision's V2 weights want --crop_fraction=0.9655, a resize to
232). Prints the figures; `--out` writes them as JSON. `--name` keeps them beside the run's record for the tables, on
other test sets, or with smaller weights (docs/results.md):

    python -m benchmarks.evaluate --workdir=RUN --dataset=imagenet_r --split=test --name=imagenet_r
    python -m benchmarks.evaluate --workdir=RUN --weight_bits=6 --sparsity=0.67
"""

import contextlib
import dataclasses
import json
from pathlib import Path

import numpy as np
from absl import flags

import models
from benchmarks import (
    commands,
    compression,
    devices,
    evaluation,
    program,
    progress,
    steps,
    subsets,
    tasks,
    trained,
)
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from benchmarks.evaluated import Evaluation, describe, to_record
from input_pipeline import datasets
from results import evaluations, files

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
    run = trained.from_run(workdir, **changes)
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
    run: trained.Trained, weight_bits: int, sparsity: float
) -> tuple[trained.Trained, evaluations.Compression]:
    """Returns a run with smaller weights, and what they take."""
    abstract = models.create_abstract(run.config.model, run.record.model.num_classes)
    auxiliary = compression.auxiliary_names(abstract)
    smaller = compression.compress(run.params, run.batch_stats, weight_bits, sparsity, auxiliary)
    params = devices.replicate(smaller.params, devices.create_mesh())
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
    found = trained.from_weights(model, weights, dataset=dataset, **changes)
    return _evaluate(found, split, subset, reporter)


def _evaluate(
    found: trained.Trained, split: str, subset: str | None, reporter: progress.Reporter | None
) -> Evaluation:
    config, params, batch_stats = found.config, found.params, found.batch_stats
    dataset = datasets.load(config.dataset, config.data_dir or None, config.positive_class)
    dataset.num_examples(split)
    model, num_classes = _fitting(found, dataset, split, subset)
    mesh = devices.create_mesh()
    with reporter or progress.create("lines", config.model) as reporter:
        reporter.report(progress.Event("compiling"))
        eval_step = program.lower_eval_step(config, model, params, batch_stats, mesh).compile()
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
        metrics=model.task.metrics(predictions, found.thresholds),
        num_classes=num_classes,
        left_out=int(np.sum(~predictions["counted"])) if "counted" in predictions else 0,
    )


def _fitting(
    found: trained.Trained, dataset: datasets.Dataset, split: str, subset: str | None
) -> tuple[steps.PureModel, int]:
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
    flags.DEFINE_string(
        "subset",
        None,
        "Among which classes the model chooses: 'present' (those that occur in the split; usual for imagenet_a and "
        "imagenet_r), 'names' (the dataset's, found by their names), or a CSV file of the dataset's and the model's.",
    )
    flags.DEFINE_integer("weight_bits", 32, "Of a weight of a kernel, from 2 to 16; 32 is float32.")
    flags.DEFINE_float(
        "sparsity", 0.0, "The part of each kernel's weights, the smallest, set to 0."
    )
    flags.DEFINE_string(
        "name",
        None,
        "Also writes WORKDIR/evaluations/NAME.json, which the tables show; of smaller weights it is called "
        "compressed-BITSbit-SPARSITY by default.",
    )
    flags.DEFINE_string("out", None, "A JSON file to write.")


def main() -> int:
    commands.restart_with_allocator()
    commands.use_compilation_cache()
    given = flags.FLAGS
    changes = {field: given[flag].value for field, flag in _FLAGS.items()}
    changes = {field: value for field, value in changes.items() if value is not None}
    if given.split:
        changes["split"] = given.split
    if given.subset is not None:
        changes["subset"] = given.subset
    title = Path(given.workdir or given.weights or "").name
    changes["reporter"] = progress.create("auto", title)
    if given.workdir and not (given.model or given.weights):
        small = {"weight_bits": given.weight_bits, "sparsity": given.sparsity}
        name = given.name or compression.name(**small)
        found = evaluate_run(given.workdir, name=name, **small, **changes)
    elif given.name or given.weight_bits != compression.FLOAT_BITS or given.sparsity:
        raise ConfigError("--name, --weight_bits and --sparsity go with --workdir.")
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
