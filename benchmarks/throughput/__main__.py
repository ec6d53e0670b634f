"""Measures how fast models train and infer on synthetic data that is on the device already, or how fast data is read.

    python -m benchmarks.throughput --models=resnet50,mobilenet_v1:width=0.5 --batch_size=32
    python -m benchmarks.throughput --models=resnet50,vgg16 --image_size=32 --batch_size=32 --peers=torch
    python -m benchmarks.throughput --input --dataset=imagenet2012 --batch_size=64 --peers=tf_data,torch
    python -m benchmarks.throughput --loop --models=resnet50 --batch_size=32
    python -m benchmarks.throughput --roofline --models=resnet50 --batch_size=256 --dtype=bfloat16
    python -m benchmarks.throughput --costs --models=resnet50 --batch_size=8
    python -m benchmarks.throughput --recognize=RUN,RUN --pictures=FOLDER
    python -m benchmarks.throughput --launch=1,2,4
    python -m benchmarks.throughput --start
    python -m benchmarks.throughput --all --peers=torch --dtype=bfloat16 --out=FOLDER

It prints, for each model, images per second in training and in inference, the milliseconds of one step and from one
picture to its answer (median and 99th percentile), the peak of memory, and the seconds to compile. With
`--peers=torch`, it prints images per second beside those of the same networks in PyTorch (torchvision's or timm's),
with the ratio's range over turns, and how many cores other work kept busy: a ratio that was measured beside other work
says nothing. With `--input`, it prints images per second of each stage from the disk to the device, by number of worker
processes, for random resized crop and flip; with `--models` too, the fraction of its time that training each model
spends waiting for data. With `--loop`, it prints what the training loop adds to the bare compiled step. With
`--roofline`, it prints how long a step's arithmetic and its memory traffic take at least on this device, and how near
the step comes. With `--costs`, it prints what the time of a step goes to, by JAX's profiler: convolutions, batch norm,
the optimizer and so on, forward and backward. With `--recognize`, it prints how much of the time to recognize a
folder's pictures, from their files to their labels, is the model's own. With `--launch`, it prints how many runs a
minute a suite gets done that only sleep, and what launching adds to each. With `--start`, it prints what each run of
the default suite spends beside training, once with an empty compilation cache and once with a warm one. `--out` also
writes the rows as CSV. `--all` writes a folder of tables: of all that a rented accelerator should be used for, what is
wanted most first, so that a command that is cut off has measured that; called again, it goes on. Speed depends on the
machine and on what else it does, so compare only rows of one run.
"""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import jax
from absl import flags

import models
from benchmarks.cli import command
from benchmarks.config import derived
from benchmarks.config import plugins as config_plugins
from benchmarks.config.fields import default_config
from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.machine import startup
from benchmarks.machine.child import ChildError
from benchmarks.runs import validation
from benchmarks.throughput import (
    costs,
    input_speed,
    launch_speed,
    loop_overhead,
    options,
    peers,
    recognition_speed,
    roofline,
    start_speed,
    survey,
    tables,
    torch_networks,
)
from benchmarks.throughput.model_speed import measure
from benchmarks.throughput.survey_folder import SurveyFolder, held
from input_pipeline import augmentation, datasets, pictures
from isobudget import paths, plugins
from isobudget.wording import quoted, shown

# ImageNet's: models are timed with the head that their papers gave them.
_NUM_CLASSES = 1000
_BATCH_SIZE = 32
_ACCELERATORS_BATCH_SIZE = 256  # by default with --all, where a smaller one would leave it idle

_Measured = TypeVar("_Measured")


def _measure_input() -> list[input_speed.InputSpeed] | list[input_speed.Waiting]:
    """Returns the speed of reading; if models are named, how long training each of them waits for data instead."""
    given = flags.FLAGS
    size = given.image_size or "224"
    if not size.isdigit():
        raise ConfigError(f"--image_size is a number of pixels, not {shown(size)}.")
    if not all(count.isdigit() for count in given.workers):
        raise ConfigError(
            f"--workers is numbers of processes, not {quoted(','.join(given.workers))}."
        )
    workers = [int(count) for count in given.workers]
    dataset = datasets.load(given.dataset, given.data_dir)
    config = default_config()
    config.dataset, config.train_split = given.dataset, given.split
    config.image_size, config.dtype = size, given.dtype
    config.batch_size = config.eval_batch_size = _batch_size()
    config.cache = given.cache
    config.augmentation.crop, config.augmentation.changes = "random_resized", ("flip",)
    if given.models is not None:
        waiting = []
        for config.model in derived.split_specs(given.models):
            for config.num_workers in workers:
                setup = validation.checked(config, dataset.num_classes)
                waiting.append(input_speed.measure_waiting(setup, dataset))
        return waiting
    return input_speed.measure(
        dataset,
        given.split,
        image_size=int(size),
        batch_size=_batch_size(),
        augmentation=augmentation.create(config.augmentation),
        workers=workers,
        peers=given.peers,
    )


def main() -> int:
    given = flags.FLAGS
    if not given.recognize:  # benchmarks.recognize runs without them too
        startup.restart_with_allocator()
    options.check()
    if given.costs:
        # A program from the cache has the names of the version that compiled it.
        jax.config.update("jax_enable_compilation_cache", False)
    else:
        startup.use_compilation_cache()
    if given.all:
        return _measure_all()
    if given.out:
        paths.check_writable(given.out)
    measured: list[tables.Measurement] = []
    failed = False
    for each in _measure():
        if isinstance(each, ChildError):
            print(f"error: {each}", file=sys.stderr, flush=True)
            failed = True
            continue
        measured.append(each)
        if given.out:
            tables.write_csv(measured, Path(given.out))
    if measured:
        tables.print_table(measured)
    return ChildError.status if failed else 0


def _measure() -> Iterable[tables.Measurement | ChildError]:
    """Returns the measurements that the flags ask for, one for each row, and what failed."""
    given = flags.FLAGS
    if given.input:
        return _measure_input()
    if given.loop:
        return _each_model(loop_overhead.measure)
    if given.roofline:
        return itertools.chain.from_iterable(_each_model(roofline.measure))
    if given.costs:
        return itertools.chain.from_iterable(_each_model(costs.measure))
    if given.recognize:
        paths = pictures.find([given.pictures])
        return [recognition_speed.measure(workdir, paths) for workdir in given.recognize]
    if given.launch:
        if not all(number.isdigit() and int(number) for number in given.launch):
            raise ConfigError(
                f"--launch is numbers of nodes, such as 1,2,4, not {quoted(','.join(given.launch))}."
            )
        return launch_speed.measure(
            [int(number) for number in given.launch], given.launch_runs, given.launch_seconds
        )
    if given.start:
        named = given.models
        return start_speed.measure(None if named is None else derived.split_specs(named))
    if given.peers:
        return _measure_beside_peers()
    return _each_model(measure)


def _measure_beside_peers() -> Iterator[tables.Measurement | ChildError]:
    given = flags.FLAGS
    _compute_in_other_processes()
    specs = torch_networks.names() if given.models is None else derived.split_specs(given.models)
    peers.check_names(given.peers)
    peers.check_networks(specs)
    return peers.measure([_setup(spec) for spec in specs], options.manner())


def _measure_all() -> int:
    """Measures what --out does not have yet, prints what it has of it then, and returns the exit status."""
    given = flags.FLAGS
    time_is_up = survey.time_limit(given.minutes)
    _compute_in_other_processes()
    specs = models.names() if given.models is None else derived.split_specs(given.models)
    for spec in specs:
        models.parse(spec)
    out, manner = Path(given.out), options.manner()
    with held(out):
        folder = SurveyFolder(out)
        machine = survey.machine()
        if given.peers:
            peers.check_devices(machine["hardware"]["device_count"])
        on_cpu = machine["hardware"]["platform"] == "cpu"
        batch_size = given.batch_size or (_BATCH_SIZE if on_cpu else _ACCELERATORS_BATCH_SIZE)
        setups, failures = survey.set_up(specs, lambda spec: _setup(spec, batch_size))
        for failure in failures:
            print(f"error: {failure}", file=sys.stderr, flush=True)
        jobs = survey.agenda(setups, beside=bool(given.peers))
        folder.write_machine(machine)
        left = survey.left_to_do(jobs, folder, manner)
        print(survey.described(left, len(jobs)), file=sys.stderr, flush=True)
        outcome = survey.measure(left, folder, manner, time_is_up)
    for kind, rows in survey.asked_for(jobs, folder, manner).items():
        if rows:
            print(f"{folder.table(kind)}:")
            tables.print_table(rows)
    return _summarize([*failures, *outcome.failures], outcome.left)


def _summarize(failures: Sequence[survey.Failure], left: int) -> int:
    """Prints what a survey lacks, and returns its exit status."""
    if left:
        print(
            f"The {flags.FLAGS.minutes:g} minutes were over before {left} of the measurements were begun; the same "
            "command goes on with them."
        )
    for failure in failures:
        print(f"Not measured: {failure}")
    return ChildError.status if failures else 0


def _compute_in_other_processes() -> None:
    """Leaves an accelerator to the processes that measure, each in turn: this one must hold none of its memory."""
    jax.config.update("jax_platforms", "cpu")


def _each_model(measure_one: Callable[[Setup], _Measured]) -> Iterator[_Measured]:
    """Yields what is measured of each model that --models names."""
    named = flags.FLAGS.models
    specs = models.names() if named is None else derived.split_specs(named)
    setups = [_setup(spec) for spec in specs]
    for number, setup in enumerate(setups, 1):
        print(f"[{number}/{len(specs)}] {setup.model}", file=sys.stderr, flush=True)
        yield measure_one(setup)


def _setup(spec: str, batch_size: int | None = None) -> Setup:
    config = default_config()
    config.model = spec
    config.batch_size = config.eval_batch_size = batch_size or _batch_size()
    config.dtype = flags.FLAGS.dtype
    config.image_size = flags.FLAGS.image_size or str(models.info(spec).input_size)
    # For the processes that measure it.
    config_plugins.add(config, [each.module for each in plugins.loaded()])
    return validation.checked(config, _NUM_CLASSES)


def _batch_size() -> int:
    return flags.FLAGS.batch_size or _BATCH_SIZE


if __name__ == "__main__":
    command.run(main, options.define_flags)
