"""Evaluates trained or published weights on a split, counting every example exactly once.

    python -m benchmarks.evaluate --workdir=runs/digits/runs/resnet50-seed0 --split=validation
    python -m benchmarks.evaluate --model=resnet50 --weights=resnet50-0676ba61.pth --dataset=imagenet2012
    python -m benchmarks.evaluate --weights=DIR/weights.safetensors --dataset=folder:PICTURES

Weights are evaluated as their description beside them says (docs/weights.md), or else with the image size, resizing and
normalization of the model's authors. Flags such as `--mean`, `--image_size` and `--crop_fraction` say otherwise
(torchvision's V2 weights need --crop_fraction=0.9655, a resize to 232). The classes of a dataset are looked up by name
among the model's, ImageNet's by synset, words or number, and the model chooses among all of its classes. The figures
are printed, and `--out` also writes them as JSON, with how the pictures were fed. `--name` keeps them beside the run's
record, so that the tables show results on other test sets (docs/results.md):

    python -m benchmarks.evaluate --workdir=RUN --dataset=imagenet_r --split=test --name=imagenet_r
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.cli import command, progress
from benchmarks.config.fields import DTYPES
from benchmarks.errors import ConfigError
from benchmarks.evaluate.report import describe
from benchmarks.evaluate.run import (
    FLAGS,
    WEIGHTS_DATASET,
    WEIGHTS_SPLIT,
    evaluate_run,
    evaluate_weights,
)
from benchmarks.inference import model_flags
from benchmarks.machine import startup
from isobudget import paths
from models import weight_flags
from results.records import files


def define_flags() -> None:
    model_flags.define()
    flags.DEFINE_string(
        "dataset",
        None,
        f"The dataset to evaluate on. By default the run's own, or {WEIGHTS_DATASET} with --weights.",
    )
    flags.DEFINE_string(
        "split",
        None,
        f"The split to evaluate on. By default the run's test split, or {WEIGHTS_SPLIT} with --weights.",
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "The directory of prepared datasets. By default the run's, or else $TFDS_DATA_DIR or ~/tensorflow_datasets.",
    )
    flags.DEFINE_integer(
        "crops",
        None,
        "The number of crops of each picture whose predictions are averaged, 1 or 10. By default the run's, or 1 "
        "with --weights.",
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "The number of images in a batch, over all devices. By default the run's, or 64 with --weights.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "num_workers",
        None,
        "How many worker processes read the data; 0 means threads. By default the run's, or 0 with --weights.",
        lower_bound=0,
    )
    flags.DEFINE_enum(
        "dtype",
        None,
        DTYPES,
        "The number type that the model computes in. By default the run's, or float32 with --weights.",
    )
    flags.DEFINE_string(
        "subset",
        None,
        "Narrow the choice to some of the model's classes, which makes it easier: 'present' for those that occur in "
        "the split (the default for imagenet_a and imagenet_r, as their authors do it), 'names' for those that the "
        "dataset names, or a CSV file with a line 'class of the dataset,class of the model' for each. By default the "
        "model chooses among all of its classes, however few of them the dataset has.",
    )
    flags.DEFINE_string(
        "name",
        None,
        "Also write the result to WORKDIR/evaluations/NAME.json, which the tables show. By default nothing is written "
        "there. It goes with --workdir.",
    )
    flags.DEFINE_string(
        "out", None, "A JSON file to write the result to. By default it is only printed."
    )


def main() -> int:
    startup.restart_with_allocator()
    startup.use_compilation_cache()
    given = flags.FLAGS
    if given.out:
        paths.check_writable(given.out)
    model_flags.check()
    changes: dict[str, Any] = {field: given[flag].value for field, flag in FLAGS.items()}
    changes = {field: value for field, value in changes.items() if value is not None}
    changes |= weight_flags.given()
    title = Path(given.workdir or given.weights or "").name
    reporter = progress.create("auto", title)
    if given.workdir:
        evaluation = evaluate_run(
            given.workdir,
            given.split,
            subset=given.subset,
            name=given.name or "",
            reporter=reporter,
            **changes,
        )
    elif given.name:
        raise ConfigError("--name goes with --workdir.")
    else:
        evaluation = evaluate_weights(
            given.model,
            given.weights,
            split=given.split or WEIGHTS_SPLIT,
            subset=given.subset,
            reporter=reporter,
            **changes,
        )
    print(describe(evaluation))
    if given.out:
        files.write_atomically(
            given.out, json.dumps(dataclasses.asdict(evaluation), indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    command.run(main, define_flags)
