"""How fast pictures get from the disk to the device, stage by stage, compared with tf.data and PyTorch's DataLoader.

Part of `python -m benchmarks.throughput --input`.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import numpy as np

from benchmarks.config.setup import Setup
from benchmarks.machine import timing
from benchmarks.machine.mesh import create_mesh, place_batch, placed, replicate
from benchmarks.runs import caching
from benchmarks.steps.cached_split import DeviceSplit
from benchmarks.steps.compile import compile_program
from benchmarks.steps.train_step import State
from benchmarks.throughput import input_peers
from benchmarks.weights.initial import initial_state
from input_pipeline import augmentation as augmentation_lib
from input_pipeline import batches as batches_lib
from input_pipeline import decoding, loader, resizing
from input_pipeline.augmentation import Augmentation
from input_pipeline.datasets import Dataset

_SAMPLE = 256  # pictures that single stages are measured on
_WARM_UP_BATCHES = 4
_WARM_UP_STEPS = 2


@dataclasses.dataclass(frozen=True)
class InputSpeed:
    """The speed of a stage, or of a whole reader.

    Attributes:
      reader: `isobudget`, or a peer.
      stage: `read`, `decode` and `augment` are single stages in one thread; `batch` is everything up to a batch on the
        host, and `device` everything up to one on the device.
      workers: how many worker processes read; 0 means threads.
      images_per_second: the median of several rounds.
    """

    reader: str
    stage: str
    workers: int
    images_per_second: float


def measure(
    dataset: Dataset,
    split: str,
    *,
    image_size: int,
    batch_size: int,
    augmentation: Augmentation,
    workers: Sequence[int] = (0, 1, 2),
    peers: Sequence[str] = (),
    rounds: int = 5,
    batches: int = 30,
) -> list[InputSpeed]:
    """Returns the speed of each stage, of the whole by number of workers, and of each peer.

    They are measured in turns, so that all meet the same noise.

    Raises:
      DataError: the split is unknown, or a picture cannot be read.
      ConfigError: a peer is not installed.
    """
    stages = _single_stages(dataset, split, image_size, augmentation)
    whole: dict[tuple[str, str, int], Callable[[], Iterator]] = {}
    for count in workers:

        def read(count: int = count) -> Iterator:
            return loader.train_batches(
                dataset,
                split,
                image_size=image_size,
                batch_size=batch_size,
                num_steps=10**9,
                seed=0,
                augmentation=augmentation,
                num_workers=count,
            )

        whole["isobudget", "batch", count] = read
    mesh = create_mesh()
    fastest = workers[0]
    read_fastest = whole["isobudget", "batch", fastest]
    whole["isobudget", "device", fastest] = lambda: placed(read_fastest(), mesh)
    for peer in peers:
        for name, count, make in input_peers.readers(peer, dataset, split, image_size, batch_size):
            whole[name, "batch", count] = make
    timings: dict[tuple[str, str, int], list[float]] = {}
    for _ in range(rounds):
        for stage, run in stages.items():
            timings.setdefault(("isobudget", stage, 0), []).append(_SAMPLE / timing.seconds(run))
        for key, make in whole.items():
            timings.setdefault(key, []).append(_images_per_second(make(), batch_size, batches))
    return [InputSpeed(*key, float(np.median(speeds))) for key, speeds in timings.items()]


@dataclasses.dataclass(frozen=True)
class Waiting:
    """How long training a model on real data waits for the data.

    Attributes:
      workers: how many worker processes read; 0 means threads.
      train_images_per_second: the speed of training, waiting included.
      input_wait_share: the fraction of the training time that is spent waiting.
    """

    model: str
    batch_size: int
    workers: int
    train_images_per_second: float
    input_wait_share: float


def measure_waiting(setup: Setup, dataset: Dataset, steps: int = 20) -> Waiting:
    """Returns how long a model waits for real data while it trains for some steps.

    Raises:
      ConfigError, DataError: one sentence on what is wrong.
    """
    config, side = setup.config, setup.image_size
    setup.task.check(dataset)
    mesh = create_mesh()
    cached = caching.read_split(setup, dataset)
    program = compile_program(setup, mesh, cached=cached)
    state = initial_state(setup, mesh)
    split = DeviceSplit.of(cached, setup, mesh) if cached else None
    batches = loader.train_batches(
        dataset,
        config.train_split,
        image_size=side,
        batch_size=config.batch_size,
        num_steps=steps + _WARM_UP_STEPS,
        seed=0,
        augmentation=augmentation_lib.create(config.augmentation),
        num_workers=config.num_workers,
        cached=cached,
    )
    start_of_run = replicate(np.float32(0), mesh)
    waited = 0.0

    def train(count: int) -> State:
        nonlocal state, waited
        for _ in range(count):
            start = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - start
            placed = place_batch(split.beside(batch, side) if split else batch, mesh)
            state, _ = program.train_steps[side](state, placed, start_of_run)
        return state

    timing.seconds(lambda: train(_WARM_UP_STEPS))
    waited = 0.0
    seconds = timing.seconds(lambda: train(steps))
    return Waiting(
        model=setup.model,
        batch_size=config.batch_size,
        workers=config.num_workers,
        train_images_per_second=steps * config.batch_size / seconds,
        input_wait_share=waited / seconds,
    )


def _single_stages(
    dataset: Dataset, split: str, image_size: int, augmentation: Augmentation
) -> dict[str, Callable[[], object]]:
    """Returns, for each stage, a function that does it alone, in one thread, to `_SAMPLE` pictures."""
    source = dataset.source(split)
    order = batches_lib.epoch_order(0, 0, len(source))
    indices = [int(order[number % len(source)]) for number in range(_SAMPLE)]
    encoded = [source[index]["image"] for index in indices]

    def rng(number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[0, number]))

    def decode(number: int) -> tuple[np.ndarray, resizing.Box]:
        generator = rng(number)
        return decoding.decode_part(
            encoded[number],
            lambda rows, columns: augmentation.crop(rows, columns, image_size, generator),
            image_size,
        )

    decoded = [decode(number) for number in range(_SAMPLE)]

    def augment(number: int) -> np.ndarray:
        picture = resizing.resize_fast(*decoded[number], image_size)
        for change in augmentation.changes:
            picture = change(picture, rng(number))
        return picture

    return {
        "read": lambda: _for_each(source.__getitem__, indices),
        "decode": lambda: _for_each(decode, range(_SAMPLE)),
        "augment": lambda: _for_each(augment, range(_SAMPLE)),
    }


def _for_each(function: Callable[[int], object], numbers: Iterable[int]) -> None:
    """Calls the function and keeps nothing, because memory that stays in use would cost a request to the system."""
    for number in numbers:
        function(number)


def _images_per_second(batches: Iterator, batch_size: int, count: int) -> float:
    """Returns the speed over `count` batches after a few: more than a reader, which works ahead, keeps ready."""

    def read(number: int) -> None:
        for batch in itertools.islice(batches, number):
            jax.block_until_ready(batch)

    read(_WARM_UP_BATCHES)
    return count * batch_size / timing.seconds(lambda: read(count))
