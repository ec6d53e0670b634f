"""Measures how fast models train and infer on synthetic data that is on the device already, or how fast data is read.

    python -m benchmarks.throughput --models=resnet50,mobilenet_v1:width=0.5 --batch_size=32
    python -m benchmarks.throughput --models=resnet50,vgg16 --image_size=32 --batch_size=32 --peers=torch
    python -m benchmarks.throughput --input --dataset=imagenet2012 --batch_size=64 --peers=tf_data,torch
    python -m benchmarks.throughput --loop --models=resnet50 --batch_size=32
    python -m benchmarks.throughput --roofline --models=resnet50 --batch_size=256 --dtype=bfloat16
    python -m benchmarks.throughput --recognize=RUN,RUN --pictures=FOLDER
    python -m benchmarks.throughput --launch=1,2,4
    python -m benchmarks.throughput --start

It prints, for each model, images per second in training and in inference, the milliseconds of one step and from one
picture to its answer (median and 99th percentile), the peak of memory, and the seconds to compile. With
`--peers=torch`, it prints images per second beside those of the same networks in PyTorch (torchvision's or timm's),
with the ratio's range over turns, and how many cores other work kept busy: a ratio that was measured beside other work
says nothing. With `--input`, it prints images per second of each stage from the disk to the device, by number of worker
processes, for random resized crop and flip; with `--models` too, the fraction of its time that training each model
spends waiting for data. With `--loop`, it prints what the training loop adds to the bare compiled step. With
`--roofline`, it prints how long a step's arithmetic and its memory traffic take at least on this device, and how near
the step comes. With `--recognize`, it prints how much of the time to recognize a folder's pictures, from their files to
their labels, is the model's own. With `--launch`, it prints how many runs a minute a suite gets done that only sleep,
and what launching adds to each. With `--start`, it prints what each run of the default suite spends beside training,
once with an empty compilation cache and once with a warm one. `--out` also writes the rows as CSV. Speed depends on the
machine and on what else it does, so compare only rows of one run.
"""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import jax
from absl import flags

import models
from benchmarks.cli import command
from benchmarks.config import derived
from benchmarks.config.fields import CACHES, DTYPES, NO_CACHE, default_config
from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.machine import startup
from benchmarks.machine.child import ChildError
from benchmarks.runs import validation
from benchmarks.throughput import (
    input_speed,
    launch_speed,
    loop_overhead,
    peers,
    recognition_speed,
    roofline,
    start_speed,
    tables,
    torch_networks,
)
from benchmarks.throughput.model_speed import measure
from input_pipeline import augmentation, datasets, pictures
from isobudget import paths
from isobudget.wording import quoted, shown

# ImageNet's: models are timed with the head that their papers gave them.
_NUM_CLASSES = 1000

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
    config.batch_size = config.eval_batch_size = given.batch_size
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
        batch_size=given.batch_size,
        augmentation=augmentation.create(config.augmentation),
        workers=workers,
        peers=given.peers,
    )


def define_flags() -> None:
    flags.DEFINE_bool(
        "input",
        False,
        "Measure how fast data is read, instead of models; with --models, how long their training waits for data.",
    )
    flags.DEFINE_bool(
        "loop",
        False,
        "Measure what the training loop adds to the compiled step, instead of whole models.",
    )
    flags.DEFINE_bool(
        "roofline",
        False,
        "Measure how near models come to what the device can do, in arithmetic and in memory traffic.",
    )
    flags.DEFINE_list(
        "recognize",
        [],
        "The folders of finished runs, with commas between them, whose speed in recognizing --pictures is measured "
        "instead of models.",
    )
    flags.DEFINE_string(
        "pictures", None, "The folder of pictures to recognize. It goes with --recognize."
    )
    flags.DEFINE_list(
        "launch",
        [],
        "The numbers of nodes, with commas between them, of Ray clusters that are simulated here to measure launching "
        "instead of models.",
    )
    flags.DEFINE_integer(
        "launch_runs", 32, "How many runs are launched. It goes with --launch.", lower_bound=1
    )
    flags.DEFINE_float(
        "launch_seconds",
        2.0,
        "How many seconds each of them sleeps. It goes with --launch.",
        lower_bound=0.0,
    )
    flags.DEFINE_bool(
        "start",
        False,
        "Measure what the default suite's runs, or with --models those of others, spend beside training, of which each "
        "does five steps.",
    )
    flags.DEFINE_string("dataset", "imagenet2012", "The dataset to read. It goes with --input.")
    flags.DEFINE_string("split", "train", "The split of the dataset to read. It goes with --input.")
    flags.DEFINE_string(
        "data_dir",
        None,
        "The directory of prepared datasets. By default $TFDS_DATA_DIR or ~/tensorflow_datasets. It goes with --input.",
    )
    flags.DEFINE_enum(
        "cache",
        NO_CACHE,
        CACHES,
        "Whether the split is kept decoded on the devices, as by config.cache. It goes with --input and --models.",
    )
    flags.DEFINE_list(
        "workers",
        ["0", "1", "2"],
        "How many worker processes to read with, each number in turn, with commas between them; 0 means threads. It "
        "goes with --input.",
    )
    flags.DEFINE_list(
        "peers",
        [],
        "Other libraries to measure beside this one, with commas between them: torch, and with --input also tf_data. "
        "Models are measured beside PyTorch's, each in a process of its own, in both of its memory formats, of which "
        "the faster counts.",
    )
    flags.DEFINE_integer(
        "turns",
        3,
        "How many times each model and its peer are measured in turns. It goes with --peers, without --input.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "turn_seconds",
        3.0,
        "How many seconds training, and inference, are timed at least in each turn. It goes with --turns.",
        lower_bound=0.0,
    )
    flags.DEFINE_multi_enum(
        "peer_formats",
        peers.MEMORY_FORMATS,
        peers.MEMORY_FORMATS,
        "A memory format of PyTorch's to measure; say it twice for both. By default both, of which the faster counts. "
        "On a GPU, channels_last alone is the faster. It goes with --peers, without --input.",
    )
    flags.DEFINE_integer(
        "prepare_at_once",
        1,
        "How many models, each with its peer, are compiled at the same time, before the first of them is timed. All of "
        "them must fit the device's memory. It goes with --peers, without --input.",
        lower_bound=1,
    )
    flags.DEFINE_bool(
        "compile_peer",
        False,
        "Compile PyTorch's networks by torch.compile. It goes with --peers, without --input.",
    )
    flags.DEFINE_string(
        "models",
        None,
        "The models to measure, with commas between them, such as resnet50,mobilenet_v1:width=0.5. By default all; "
        "with --peers=torch, all that PyTorch's packages have; with --input, none; with --start, the default suite's.",
    )
    flags.DEFINE_integer(
        "batch_size", 32, "The number of images in a batch, over all devices.", lower_bound=1
    )
    flags.DEFINE_string(
        "image_size",
        "",
        "The side of the images in pixels, or smallest for the smallest that a model accepts. By default the model's "
        "own, or 224 with --input.",
    )
    flags.DEFINE_enum("dtype", "float32", DTYPES, "The number type that models compute in.")
    flags.DEFINE_string(
        "out", None, "A CSV file to write the rows to. By default they are only printed."
    )


def main() -> int:
    given = flags.FLAGS
    if not given.recognize:  # benchmarks.recognize runs without them too
        startup.restart_with_allocator()
    startup.use_compilation_cache()
    others = (given.input, given.loop, given.roofline, given.recognize, given.launch, given.start)
    if sum(map(bool, others)) > 1:
        raise ConfigError(
            "--input, --loop, --roofline, --recognize, --launch and --start are measurements of their own: say only"
            " one."
        )
    if bool(given.recognize) != bool(given.pictures):
        raise ConfigError("--recognize and --pictures go together.")
    if given.peers and sum(map(bool, others)) > bool(given.input):
        raise ConfigError("--peers is for models alone and for --input.")
    if given.compile_peer and (given.input or not given.peers):
        raise ConfigError("--compile_peer goes with --peers=torch, without --input.")
    if given.cache != NO_CACHE and not (given.input and given.models):
        raise ConfigError("--cache goes with --input and --models.")
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
    manner = peers.Manner(
        turns=given.turns,
        seconds=given.turn_seconds,
        formats=given.peer_formats,
        compiled=given.compile_peer,
        at_once=given.prepare_at_once,
    )
    # Others measure, each in turn: this process must hold none of an accelerator's memory.
    jax.config.update("jax_platforms", "cpu")
    specs = torch_networks.names() if given.models is None else derived.split_specs(given.models)
    peers.check(given.peers, specs)
    return peers.measure([_setup(spec) for spec in specs], manner)


def _each_model(measure_one: Callable[[Setup], _Measured]) -> Iterator[_Measured]:
    """Yields what is measured of each model that --models names."""
    named = flags.FLAGS.models
    specs = models.names() if named is None else derived.split_specs(named)
    setups = [_setup(spec) for spec in specs]
    for number, setup in enumerate(setups, 1):
        print(f"[{number}/{len(specs)}] {setup.model}", file=sys.stderr, flush=True)
        yield measure_one(setup)


def _setup(spec: str) -> Setup:
    config = default_config()
    config.model = spec
    config.batch_size = config.eval_batch_size = flags.FLAGS.batch_size
    config.dtype = flags.FLAGS.dtype
    config.image_size = flags.FLAGS.image_size or str(models.info(spec).input_size)
    return validation.checked(config, _NUM_CLASSES)


if __name__ == "__main__":
    command.run(main, define_flags)
