"""How fast models train and infer, with synthetic data that is on the device already; or how fast data is read.

    python -m benchmarks.throughput --models=resnet50,mobilenet_v1:width=0.5 --batch_size=32
    python -m benchmarks.throughput --input --dataset=imagenet2012 --batch_size=64 --peers=tf_data,torch
    python -m benchmarks.throughput --loop --models=resnet50 --batch_size=32
    python -m benchmarks.throughput --recognize=RUN,RUN --pictures=FOLDER

Prints, for each model, images per second in training and in inference, the milliseconds of one step and from one
picture to its answer (median and 99th percentile), the peak of memory, and the seconds to compile. With `--input`,
images per second of each stage from the disk to the device, by number of worker processes, for random resized crop and
flip; with `--models` too, the share of its time that training each spends waiting for data. With `--loop`, what the
training loop adds to the bare compiled step. With `--recognize`, how much of recognising a folder's pictures, from
their files to their labels, is the work of a run's model. `--out` writes the same as CSV. Speed depends on the machine
and on what else it does: compare rows of one run.
"""

import csv
import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

import models
from benchmarks import (
    commands,
    devices,
    inference_speed,
    input_speed,
    loop_overhead,
    memory,
    program,
    recognition_speed,
    tasks,
    validation,
)
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from input_pipeline import augmentation, datasets, pictures

# A step's time is the median over at least this many, after one that warms up.
_STEPS = 5
_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Speed:
    """One model's speed at one batch size.

    Attributes:
      train_images_per_second, infer_images_per_second: over all devices.
      train_step_ms: milliseconds of the median training step.
      infer_latency_p50_ms, infer_latency_p99_ms: milliseconds from one picture on the host to its answer there.
      peak_memory_bytes: the most that training took: of the fullest device, on a CPU of the process; None where it
        cannot be measured, or where an earlier model of the same command took more.
      compile_seconds: of tracing and compiling both steps; less where the compilation cache had them.
    """

    model: str
    image_size: int
    batch_size: int
    dtype: str
    train_images_per_second: float
    infer_images_per_second: float
    train_step_ms: float
    infer_latency_p50_ms: float
    infer_latency_p99_ms: float
    peak_memory_bytes: int | None
    compile_seconds: float


def measure(config: ConfigDict, num_logits: int = 1000) -> Speed:
    """Measures the model of `config` at its image size, batch size and dtype.

    Raises:
      ConfigError, ModelError: one sentence on what is wrong.
    """
    validation.validate(config)
    mesh = devices.create_mesh()
    earlier_peak = memory.peak_bytes()
    start = time.perf_counter()
    compiled = program.compile_program(config, num_logits, mesh)
    compile_seconds = time.perf_counter() - start
    state = program.initial_state(config, num_logits, num_steps=100, mesh=mesh)
    side = config_lib.image_size(config)
    batch = devices.place_batch(
        inference_speed.random_batch(
            tasks.TASKS[config.task].label_spec(config.batch_size, num_logits),
            side,
            processes=jax.process_count(),
        ),
        mesh,
    )
    seconds: list[float] = []
    train_step = compiled.train_steps[side]
    state, _ = train_step(state, batch)
    jax.block_until_ready(state)
    while len(seconds) < _STEPS or sum(seconds) < _SECONDS:
        start = time.perf_counter()
        state, _ = train_step(state, batch)
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - start)
    step = float(np.median(seconds))
    peak = memory.peak_bytes()
    peak = None if peak == earlier_peak else peak
    inference = inference_speed.measure(
        config, compiled, state["params"], state["batch_stats"], num_logits
    )
    return Speed(
        model=models.label(*models.parse(config.model)),
        image_size=side,
        batch_size=config.batch_size,
        dtype=config.dtype,
        train_images_per_second=config.batch_size / step,
        infer_images_per_second=inference.images_per_second,
        train_step_ms=step * 1e3,
        infer_latency_p50_ms=inference.latency_p50_ms,
        infer_latency_p99_ms=inference.latency_p99_ms,
        peak_memory_bytes=peak,
        compile_seconds=compile_seconds,
    )


def write_csv(
    speeds: Sequence[
        Speed
        | input_speed.InputSpeed
        | input_speed.Waiting
        | loop_overhead.LoopOverhead
        | recognition_speed.RecognitionSpeed
    ],
    path: Path,
) -> None:
    """Writes a row each, the header naming fields and units as their class does."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(speeds[0])])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(speed) for speed in speeds)


def _numbers(*columns: str, texts: int = 1) -> Table:
    """Returns an empty table whose columns but the first ones are numbers."""
    table = Table(*columns)
    for column in table.columns[texts:]:
        column.justify = "right"
    return table


def _table(speeds: Sequence[Speed]) -> Table:
    table = _numbers(
        "model",
        "size",
        "batch",
        "train img/s",
        "infer img/s",
        "step ms",
        "p50 ms",
        "p99 ms",
        "GiB",
        "compile s",
    )
    for speed in speeds:
        table.add_row(
            speed.model,
            str(speed.image_size),
            str(speed.batch_size),
            f"{speed.train_images_per_second:,.1f}",
            f"{speed.infer_images_per_second:,.1f}",
            f"{speed.train_step_ms:,.1f}",
            f"{speed.infer_latency_p50_ms:,.2f}",
            f"{speed.infer_latency_p99_ms:,.2f}",
            f"{speed.peak_memory_bytes / 2**30:.2f}" if speed.peak_memory_bytes else "",
            f"{speed.compile_seconds:.1f}",
        )
    return table


def _input_table(speeds: Sequence[input_speed.InputSpeed]) -> Table:
    table = _numbers("reader", "stage", "workers", "images/s", texts=2)
    for speed in speeds:
        workers = str(speed.workers) if speed.workers else "threads"
        if speed.stage in ("read", "decode", "augment"):
            workers = "1 thread"
        table.add_row(speed.reader, speed.stage, workers, f"{speed.images_per_second:,.0f}")
    return table


def _waiting_table(found: Sequence[input_speed.Waiting]) -> Table:
    table = _numbers("model", "batch", "workers", "train img/s", "waiting for data")
    for each in found:
        table.add_row(
            each.model,
            str(each.batch_size),
            str(each.workers) if each.workers else "threads",
            f"{each.train_images_per_second:,.1f}",
            f"{each.input_wait_share:.1%}",
        )
    return table


def _measure_input() -> list[input_speed.InputSpeed] | list[input_speed.Waiting]:
    """Prints the speed of reading; with models, how long training each of them waits for it instead."""
    given = flags.FLAGS
    size = given.image_size or "224"
    if not size.isdigit():
        raise ConfigError(f"--image_size is a number of pixels, not {size!r}.")
    if not all(count.isdigit() for count in given.workers):
        raise ConfigError(f"--workers is numbers of processes, not {','.join(given.workers)!r}.")
    workers = [int(count) for count in given.workers]
    dataset = datasets.load(given.dataset, given.data_dir)
    config = config_lib.default_config()
    config.dataset, config.train_split = given.dataset, given.split
    config.image_size, config.dtype = size, given.dtype
    config.batch_size = config.eval_batch_size = given.batch_size
    config.augmentation.crop, config.augmentation.changes = "random_resized", ("flip",)
    if given.models:
        found = []
        for config.model in config_lib.split_specs(given.models):
            for config.num_workers in workers:
                found.append(input_speed.measure_waiting(config, dataset))
        Console().print(_waiting_table(found))
        return found
    speeds = input_speed.measure(
        dataset,
        given.split,
        image_size=int(size),
        batch_size=given.batch_size,
        augmentation=augmentation.create(config.augmentation),
        workers=workers,
        peers=given.peers,
    )
    Console().print(_input_table(speeds))
    return speeds


def define_flags() -> None:
    flags.DEFINE_bool("input", False, "Measure how fast data is read, instead of models.")
    flags.DEFINE_bool("loop", False, "Measure what the training loop adds to the compiled step.")
    flags.DEFINE_list(
        "recognize", [], "Measure these runs' folders, recognising --pictures, instead of models."
    )
    flags.DEFINE_string("pictures", None, "With --recognize: a folder of pictures.")
    flags.DEFINE_string("dataset", "imagenet2012", "With --input: what is read.")
    flags.DEFINE_string("split", "train", "With --input: of the dataset.")
    flags.DEFINE_string("data_dir", None, "With --input: where prepared datasets lie.")
    flags.DEFINE_list("workers", ["0", "1", "2"], "With --input: worker processes; 0 for threads.")
    flags.DEFINE_list("peers", [], "With --input: what to measure beside it: tf_data, torch.")
    flags.DEFINE_string(
        "models",
        None,
        "Which models, with commas between them; all, or with --input none, by default.",
    )
    flags.DEFINE_integer("batch_size", 32, "Images in a batch, over all devices.", lower_bound=1)
    flags.DEFINE_string("image_size", "", "Pixels a side, or smallest; the model's own by default.")
    flags.DEFINE_enum("dtype", "float32", config_lib.DTYPES, "Of the computation.")
    flags.DEFINE_string("out", None, "A CSV file to write.")


def main() -> int:
    given = flags.FLAGS
    if not given.recognize:  # which runs without
        commands.restart_with_allocator()
    commands.use_compilation_cache()
    if sum(map(bool, (given.input, given.loop, given.recognize))) > 1:
        raise ConfigError("--input, --loop and --recognize are three measurements: say one.")
    if bool(given.recognize) != bool(given.pictures):
        raise ConfigError("--recognize and --pictures go together.")
    if given.input:
        speeds = _measure_input()
    elif given.loop:
        speeds = _each_model(loop_overhead.measure)
        Console().print(_loop_table(speeds))
    elif given.recognize:
        paths = pictures.find([given.pictures])
        speeds = [recognition_speed.measure(workdir, paths) for workdir in given.recognize]
        Console().print(_recognition_table(speeds))
    else:
        speeds = _each_model(measure)
        Console().print(_table(speeds))
    if given.out:
        write_csv(speeds, Path(given.out))
    return 0


def _loop_table(found: Sequence[loop_overhead.LoopOverhead]) -> Table:
    table = _numbers("model", "size", "batch", "bare step ms", "in the loop ms", "overhead")
    for each in found:
        table.add_row(
            each.model,
            str(each.image_size),
            str(each.batch_size),
            f"{each.bare_step_ms:,.2f}",
            f"{each.loop_step_ms:,.2f}",
            f"{each.overhead:.1%}",
        )
    return table


def _recognition_table(found: Sequence[recognition_speed.RecognitionSpeed]) -> Table:
    table = _numbers("model", "size", "pictures", "seconds", "the model alone", "its share")
    for each in found:
        table.add_row(
            each.model,
            str(each.image_size),
            f"{each.pictures:,}",
            f"{each.seconds:.3f}",
            f"{each.model_seconds:.3f}",
            f"{each.model_share:.0%}",
        )
    return table


def _each_model(measure_one: Callable[[ConfigDict], Any]) -> list:
    speeds = []
    specs = config_lib.split_specs(flags.FLAGS.models or ",".join(models.names()))
    for spec in specs:
        config = config_lib.default_config()
        config.model = spec
        config.batch_size = config.eval_batch_size = flags.FLAGS.batch_size
        config.dtype = flags.FLAGS.dtype
        config.image_size = flags.FLAGS.image_size or str(models.info(spec).input_size)
        validation.validate(config)
        print(f"[{len(speeds) + 1}/{len(specs)}] {spec}", file=sys.stderr, flush=True)
        speeds.append(measure_one(config))
    return speeds


if __name__ == "__main__":
    commands.run(main, define_flags)
