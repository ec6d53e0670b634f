"""Compiles every model's training and evaluation step for accelerators that are not here, and says what they need.

    python -m benchmarks.plan --config=benchmarks/configs/imagenet.py --target=h100
    python -m benchmarks.plan --config=benchmarks/configs/imagenet.py --config.batch_size=1024 --target=v5e:4x8
    python -m benchmarks.plan --config=benchmarks/configs/digits.py --target=a100 --models=resnet50 --largest_batch
    python -m benchmarks.plan --config=benchmarks/configs/imagenet.py --target=h100:8 --price=3 --out=plan

For each step it prints whether it fits a device's memory, and what it needs of it (arguments and temporaries), the
arithmetic of the step, the bytes that a device moves, how long the longer of these two takes at least at the data
sheet's peak, the images per second at that bound, what devices exchange, and the seconds to compile. No step is faster
than its bound, and none quite reaches it (docs/accelerators.md). With `--price`, it prints what the configuration's
whole suite costs at that bound, and at a part of that speed that was measured. With `--largest_batch`, it prints the
largest batch that fits.

XLA compiles here as it does there, but without a GPU it chooses no kernels by their speed. Each step is compiled in a
process of its own and kept in the user's cache folder: a second call is immediate, and one that was stopped goes on. A
step that does not compile is told, and the exit status is 1.
"""

import logging
import math
import sys
from pathlib import Path

import jax
from absl import flags

from benchmarks.cli import command
from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.machine.child import ChildError
from benchmarks.plan import cost, data, largest, run, tables, targets
from benchmarks.plan.programs import Compiler, versions
from isobudget import paths


def define_flags() -> None:
    command.define_config_flag()
    flags.DEFINE_string(
        "target",
        None,
        "The devices to compile for: a TPU slice, such as v5e:4x8, v6e:2x4 or v5p:2x2x2; a GPU, a100, h100, h200 or "
        "b200, or several of them, such as h100:8; or cpu.",
    )
    flags.mark_flag_as_required("target")
    flags.DEFINE_string(
        "models",
        None,
        "The models to compile, with commas between them, such as resnet50,mobilenet_v1:width=0.5. By default those of "
        "the configuration.",
    )
    flags.DEFINE_bool(
        "largest_batch",
        False,
        "Also find the largest batch whose training step fits, to within a sixteenth, by compiling it for several.",
    )
    flags.DEFINE_float(
        "price",
        None,
        "US dollars for one device and hour: also print what the configuration's suite costs, all models and seeds.",
    )
    flags.DEFINE_float(
        "efficiency",
        cost.EFFICIENCY,
        "The part of its bound's speed that a step is thought to reach. The default is what ResNet-50's training step "
        "reached on an H200 (docs/performance.md). It goes with --price.",
    )
    flags.DEFINE_integer(
        "processes",
        None,
        "How many steps are compiled at once. By default one on each core, and no more than one for each 4 GiB of free "
        "memory.",
        lower_bound=1,
    )
    flags.DEFINE_bool("fresh", False, "Compile again what is kept from earlier calls.")
    flags.DEFINE_string(
        "out",
        None,
        "A path without an extension: the steps are also written to OUT.csv, and all of it to OUT.json. By default it "
        "is only printed.",
    )


def main() -> int:
    given, config = flags.FLAGS, command.given_config()
    if given.price is not None and not (math.isfinite(given.price) and given.price > 0):
        raise ConfigError(f"--price is a number of dollars above 0, not {given.price}.")
    if not (math.isfinite(given.efficiency) and 0 < given.efficiency <= 1):
        raise ConfigError(
            f"--efficiency is a number above 0, and 1 at most, not {given.efficiency}."
        )
    target = targets.parse(given.target)
    target.check_installed()
    csv_path, json_path = (Path(f"{given.out}{end}") for end in (".csv", ".json"))
    if given.out:
        paths.check_writable(csv_path)
    # This process only counts; those that compile look for accelerators.
    logging.getLogger("jax._src.xla_bridge").setLevel(logging.CRITICAL)
    jax.config.update("jax_platforms", "cpu")
    sizes = data.sizes(config)
    specs = config.suite.models if given.models is None else derived.split_specs(given.models)
    setups = run.set_up(config, specs, sizes.num_logits, target)
    processes = given.processes or run.default_processes()
    todo = run.jobs(setups, target)
    costs: list[cost.Cost] = []
    largest_batches: list[largest.Largest] = []
    with Compiler(fresh=given.fresh) as compiler:
        rows = run.compile_all(todo, compiler, processes, _tell)
        tables.print_figures(rows)
        if given.price is not None:
            seeds = len(config.suite.seeds)
            rate = cost.Rate(given.price, given.efficiency)
            costs = cost.of_suite(setups, rows, sizes, target, seeds, rate)
            tables.print_costs(costs, target, rate)
        if given.largest_batch:
            training = [job for job in todo if job.side == job.setup.image_size]
            largest_batches = run.largest_batches(training, compiler, processes, _tell)
            tables.print_largest(largest_batches)
    if given.out:
        tables.write_csv(rows, csv_path)
        tables.write_json(rows, costs, largest_batches, versions(), json_path)
    return ChildError.status if any(row.status == "failed" for row in rows) else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    command.run(main, define_flags, resumes=True)
