"""Splits to batches: the examples of a step are a pure function of the seed and the step.

A batch is a plain dict: `image` uint8 [batch, height, width, 3], `label` int32 [batch] and `mask`
float32 [batch], 1 where the example counts and 0 where it only fills the batch.

The unit handed to Grain, which reads ahead in threads or worker processes, is a whole batch.
Grain's own shuffle, random_map and batch give the same guarantees and cost over 100 microseconds
an example, several times what a small picture takes from disk to pixels.
"""

import functools
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from absl import flags

from input_pipeline import transforms
from input_pipeline.datasets import Dataset
from input_pipeline.decoding import decode
from input_pipeline.errors import DataError
from input_pipeline.splits import Source

Batch = dict[str, np.ndarray]

_MAX_THREADS = 16
_WORKER_BUFFER = 2  # batches that each worker process keeps ready


def train_batches(
    dataset: Dataset,
    split: str,
    *,
    image_size: int,
    batch_size: int,
    num_steps: int,
    seed: int,
    start_step: int = 0,
    augmentation: str = "none",
    num_workers: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
) -> Iterator[Batch]:
    """Returns the batches of steps `start_step` to `num_steps` (exclusive).

    Every epoch holds every example once, in a new order and newly augmented; a batch may straddle
    two epochs. The examples of a step depend on `seed` and the step alone: not on where reading
    started, nor on the number of workers, nor on how many shards share the batch.

    Args:
        dataset: From `datasets.load`.
        split: Such as `train` or `train[:90%]`.
        image_size: Height and width of the pictures, in pixels.
        batch_size: Examples in a step over all shards; a shard gets `batch_size // shard_count`.
        num_steps: Where training ends.
        seed: Of the run; order and augmentation each derive their own from it.
        start_step: Where to resume.
        augmentation: A name in `transforms.AUGMENTATIONS`.
        num_workers: Processes that prepare batches; 0 means threads of this process.
        shard_index: Which part of each batch this host reads.
        shard_count: Number of hosts that share each batch.

    Raises:
        DataError: The split or augmentation is unknown, or the numbers do not fit together. While
            iterating: a picture cannot be read.
    """
    _check_shard(batch_size, shard_index, shard_count)
    if batch_size % shard_count:
        raise DataError(
            f"batch_size {batch_size} does not divide among {shard_count} hosts,"
            f" {batch_size + shard_count - batch_size % shard_count} would"
        )
    if not 0 <= start_step <= num_steps:
        raise DataError(f"start_step {start_step} is not between 0 and num_steps {num_steps}")
    batches = _TrainBatches(
        source=dataset.source(split),
        num_steps=num_steps,
        batch_size=batch_size,
        seed=seed,
        augment=transforms.augmentation(augmentation),
        image_size=image_size,
        shard_index=shard_index,
        shard_count=shard_count,
    )
    return _read(batches, start_step, num_workers)


def eval_batches(
    dataset: Dataset,
    split: str,
    *,
    image_size: int,
    batch_size: int,
    crop_fraction: float = 1.0,
    num_workers: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
) -> Iterator[Batch]:
    """Returns batches that hold every example of `split` exactly once over all shards.

    Every shard gets the same number of batches of the same size, `batch_size / shard_count`
    rounded up; the last ones are filled up with black pictures whose mask is 0.

    Args:
        dataset: From `datasets.load`.
        split: Such as `test` or `train[90%:]`.
        image_size: Height and width of the pictures, in pixels.
        batch_size: Examples in a batch over all shards.
        crop_fraction: The part of the shorter side that is seen, see `transforms.evaluation`.
        num_workers: Processes that prepare batches; 0 means threads of this process.
        shard_index: Which part of each batch this host reads.
        shard_count: Number of hosts that share each batch.

    Raises:
        DataError: The split is unknown or empty, or the numbers do not fit together. While
            iterating: a picture cannot be read.
    """
    _check_shard(batch_size, shard_index, shard_count)
    if not 0 < crop_fraction <= 1:
        raise DataError(f"crop_fraction {crop_fraction} is not above 0 and at most 1")
    batches = _EvalBatches(
        source=dataset.source(split),
        shard_batch_size=-(-batch_size // shard_count),
        image_size=image_size,
        crop_fraction=crop_fraction,
        shard_index=shard_index,
        shard_count=shard_count,
    )
    return _read(batches, 0, num_workers)


def derive_seed(seed: int, purpose: str) -> int:
    """Returns 64 bits that differ for each seed and purpose."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


@functools.lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """Returns the permutation of `range(num_examples)` in which an epoch takes the examples.

    It sorts the raw output of a counter-based generator, which is fixed by definition, where
    NumPy's own `permutation` may change with its version.
    """
    generator = np.random.Philox(key=[derive_seed(seed, "order"), epoch])
    return np.argsort(generator.random_raw(num_examples), kind="stable")


class _Batches(Protocol):
    """Random access to batches by step."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int) -> Batch: ...


@dataclass(frozen=True)
class _TrainBatches:
    source: Source
    num_steps: int
    batch_size: int
    seed: int
    augment: transforms.Augmentation
    image_size: int
    shard_index: int
    shard_count: int

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, step: int) -> Batch:
        first = step * self.batch_size
        positions = range(first + self.shard_index, first + self.batch_size, self.shard_count)
        augmentation_seed = derive_seed(self.seed, "augmentation")
        images, labels = [], []
        for position in positions:
            epoch, place = divmod(position, len(self.source))
            index = int(epoch_order(self.seed, epoch, len(self.source))[place])
            picture, label = _read_example(self.source, index)
            # Its own generator for each position, so that no other example's draws shift it.
            rng = np.random.Generator(np.random.Philox(key=[augmentation_seed, position]))
            images.append(self.augment(picture, self.image_size, rng))
            labels.append(label)
        return _batch(images, labels, [1.0] * len(images))


@dataclass(frozen=True)
class _EvalBatches:
    source: Source
    shard_batch_size: int
    image_size: int
    crop_fraction: float
    shard_index: int
    shard_count: int

    def __len__(self) -> int:
        return -(-len(self.source) // (self.shard_batch_size * self.shard_count))

    def __getitem__(self, step: int) -> Batch:
        stride = self.shard_batch_size * self.shard_count
        indices = range(step * stride + self.shard_index, (step + 1) * stride, self.shard_count)
        images, labels, mask = [], [], []
        for index in indices:
            counts = index < len(self.source)
            if counts:
                picture, label = _read_example(self.source, index)
                image = transforms.evaluation(picture, self.image_size, self.crop_fraction)
            else:
                image, label = np.zeros((self.image_size, self.image_size, 3), np.uint8), 0
            images.append(image)
            labels.append(label)
            mask.append(counts)
        return _batch(images, labels, mask)


def _check_shard(batch_size: int, shard_index: int, shard_count: int) -> None:
    if batch_size < 1:
        raise DataError(f"batch_size {batch_size} is not a positive number")
    if not 0 <= shard_index < shard_count:
        raise DataError(f"shard_index {shard_index} is not from 0 to below {shard_count}")


def _read_example(source: Source, index: int) -> tuple[np.ndarray, int]:
    example = source[index]
    return decode(example["image"], lambda: source.describe(index)), example["label"]


def _batch(images: list[np.ndarray], labels: list[int], mask: list[Any]) -> Batch:
    return {
        "image": np.stack(images),
        "label": np.array(labels, np.int32),
        "mask": np.array(mask, np.float32),
    }


def _read(batches: _Batches, start_step: int, num_workers: int) -> Iterator[Batch]:
    """Returns the batches in order, read ahead by threads here or by worker processes."""
    import grain

    if start_step == len(batches):
        return iter(())
    dataset = grain.MapDataset.source(batches)[start_step:]
    if num_workers:
        # Grain passes absl's flags on to its workers; in a notebook nobody has parsed any.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        options = grain.MultiprocessingOptions(num_workers, _WORKER_BUFFER)
        return iter(
            dataset.to_iter_dataset(
                grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
            ).mp_prefetch(options, worker_init_fn=_end_with_parent)
        )
    # A thread makes a whole batch, so memory holds this many of them and one more.
    threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)))
    return iter(dataset.to_iter_dataset(grain.ReadOptions(threads, threads + 1)))


def _end_with_parent(worker_index: int, worker_count: int) -> None:
    """Ends this worker process when its parent is gone, which a killed parent cannot do."""
    del worker_index, worker_count
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
