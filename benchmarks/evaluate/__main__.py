"""The accuracy of trained or of published weights on a split, every example counted exactly once.

    python -m benchmarks.evaluate --workdir=runs/digits/runs/resnet50-seed0 --split=validation
    python -m benchmarks.evaluate --model=resnet50 --weights=resnet50-0676ba61.pth --dataset=imagenet2012

Published weights are evaluated as their authors did: the model's own size, resizing and normalization, unless
`--image_size` and `--crop_fraction` say otherwise (torchvision's V2 weights want --crop_fraction=0.9655, a resize to
232). Prints the figures; `--out` writes them as JSON. `--name` keeps them beside the run's record for the tables, on
other test sets, or with smaller weights (docs/results.md):

    python -m benchmarks.evaluate --workdir=RUN --dataset=imagenet_r --split=test --name=imagenet_r
    python -m benchmarks.evaluate --workdir=RUN --weight_bits=6 --sparsity=0.67
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.cli import command, progress
from benchmarks.config.fields import DTYPES
from benchmarks.errors import ConfigError
from benchmarks.evaluate import compression
from benchmarks.evaluate.report import describe
from benchmarks.evaluate.run import (
    FLAGS,
    WEIGHTS_DATASET,
    WEIGHTS_SPLIT,
    evaluate_run,
    evaluate_weights,
)
from benchmarks.inference import trained_model
from benchmarks.machine import startup
from results.records import files


def define_flags() -> None:
    trained_model.define_flags()
    flags.DEFINE_string("dataset", None, f"The run's, or {WEIGHTS_DATASET}, by default.")
    flags.DEFINE_string("split", None, "The run's test split, or validation, by default.")
    flags.DEFINE_string("data_dir", None, "Where prepared datasets lie.")
    flags.DEFINE_string("image_size", None, "Pixels a side; the run's or the model's by default.")
    flags.DEFINE_float("crop_fraction", None, "The part of the shorter side that is seen.")
    flags.DEFINE_integer("crops", None, "Whose predictions are averaged: 1, or 10.")
    flags.DEFINE_integer("batch_size", None, "Images in a batch, over all devices.", lower_bound=1)
    flags.DEFINE_integer("num_workers", None, "Processes that read; 0 for threads.", lower_bound=0)
    flags.DEFINE_enum("dtype", None, DTYPES, "Of the computation.")
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
    startup.restart_with_allocator()
    startup.use_compilation_cache()
    given = flags.FLAGS
    changes: dict[str, Any] = {field: given[flag].value for field, flag in FLAGS.items()}
    changes = {field: value for field, value in changes.items() if value is not None}
    title = Path(given.workdir or given.weights or "").name
    reporter = progress.create("auto", title)
    if given.workdir and not (given.model or given.weights):
        evaluation = evaluate_run(
            given.workdir,
            given.split,
            subset=given.subset,
            weight_bits=given.weight_bits,
            sparsity=given.sparsity,
            name=given.name or compression.name(given.weight_bits, given.sparsity),
            reporter=reporter,
            **changes,
        )
    elif given.name or given.weight_bits != compression.FLOAT_BITS or given.sparsity:
        raise ConfigError("--name, --weight_bits and --sparsity go with --workdir.")
    elif given.model and given.weights and not given.workdir:
        evaluation = evaluate_weights(
            given.model,
            given.weights,
            split=given.split or WEIGHTS_SPLIT,
            subset=given.subset,
            reporter=reporter,
            **changes,
        )
    else:
        raise ConfigError("say --workdir, or --model and --weights.")
    print(describe(evaluation))
    if given.out:
        files.write_atomically(
            given.out, json.dumps(dataclasses.asdict(evaluation), indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    command.run(main, define_flags)
