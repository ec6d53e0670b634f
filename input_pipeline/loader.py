"""Splits to batches, through Grain: the order is a pure function of the seed and the step.

A batch is a plain dict: `image` uint8 [batch, height, width, 3], `label` int32 [batch] and `mask`
float32 [batch], 1 where the example counts and 0 where it only fills the batch.
"""

import functools
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

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
    import grain

    _check_shard(batch_size, shard_index, shard_count)
    if batch_size % shard_count:
        raise DataError(
            f"batch_size {batch_size} does not divide among {shard_count} hosts;"
            f" {batch_size - batch_size % shard_count or shard_count} would"
        )
    if not 0 <= start_step <= num_steps:
        raise DataError(f"start_step {start_step} is not between 0 and num_steps {num_steps}")
    augment = functools.partial(
        _augment, augmentation=transforms.augmentation(augmentation), image_size=image_size
    )
    source = _DecodedSource(dataset.source(split))
    if start_step == num_steps:
        return iter(())
    num_examples = num_steps * batch_size
    examples = (
        grain.MapDataset.source(source)
        .shuffle(seed=derive_seed(seed, "order"))
        .repeat(-(-num_examples // len(source)))
        .random_map(augment, seed=derive_seed(seed, "augmentation"))
    )
    # The shard is cut last, so that an example's augmentation does not depend on it.
    batches = examples[:num_examples][shard_index::shard_count].batch(
        batch_size // shard_count, drop_remainder=True, batch_fn=_stack
    )
    return _read(batches[start_step:], num_workers)


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
    import grain

    _check_shard(batch_size, shard_index, shard_count)
    source = _DecodedSource(dataset.source(split))
    shard_batch = -(-batch_size // shard_count)
    num_batches = -(-len(source) // (shard_batch * shard_count))
    padded = _PaddedSource(
        source,
        num_batches * shard_batch * shard_count,
        functools.partial(_evaluate, image_size=image_size, crop_fraction=crop_fraction),
        image_size,
    )
    examples = grain.MapDataset.source(padded)[shard_index::shard_count]
    return _read(examples.batch(shard_batch, batch_fn=_stack), num_workers)


def derive_seed(seed: int, purpose: str) -> int:
    """Returns a seed of 32 bits that differs for each seed and purpose.

    A hash, because Grain shuffles epoch e with `seed + e`: neighbouring seeds used as they are
    would train on each other's epochs.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _check_shard(batch_size: int, shard_index: int, shard_count: int) -> None:
    if batch_size < 1:
        raise DataError(f"batch_size {batch_size} is not a positive number")
    if not 0 <= shard_index < shard_count:
        raise DataError(f"shard_index {shard_index} is not below shard_count {shard_count}")


class _DecodedSource:
    """Examples with the picture decoded, by position, so that an error can name the example."""

    def __init__(self, source: Source):
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self._source[index]
        try:
            picture = decode(example["image"])
        except DataError:
            decode(example["image"], self._source.describe(index))
            raise
        return {"image": picture, "label": example["label"], "mask": 1.0}


class _PaddedSource:
    """Evaluation examples, filled up to a length with black ones that do not count."""

    def __init__(self, source: _DecodedSource, length: int, transform: Any, image_size: int):
        self._source = source
        self._length = length
        self._transform = transform
        self._image_size = image_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index < len(self._source):
            return self._transform(self._source[index])
        black = np.zeros((self._image_size, self._image_size, 3), np.uint8)
        return {"image": black, "label": 0, "mask": 0.0}


def _augment(
    example: dict[str, Any],
    rng: np.random.Generator,
    *,
    augmentation: transforms.Augmentation,
    image_size: int,
) -> dict[str, Any]:
    return {**example, "image": augmentation(example["image"], image_size, rng)}


def _evaluate(example: dict[str, Any], *, image_size: int, crop_fraction: float) -> dict[str, Any]:
    return {**example, "image": transforms.evaluation(example["image"], image_size, crop_fraction)}


def _stack(examples: Sequence[dict[str, Any]]) -> Batch:
    return {
        "image": np.stack([example["image"] for example in examples]),
        "label": np.array([example["label"] for example in examples], np.int32),
        "mask": np.array([example["mask"] for example in examples], np.float32),
    }


def _read(batches: Any, num_workers: int) -> Iterator[Batch]:
    """Returns the batches in order, read ahead by threads here or by worker processes."""
    import grain

    if num_workers:
        return iter(
            batches.to_iter_dataset(grain.ReadOptions(num_threads=0)).mp_prefetch(
                grain.MultiprocessingOptions(num_workers, _WORKER_BUFFER),
                worker_init_fn=_end_with_parent,
            )
        )
    # A thread makes a whole batch, so this many batches (and a few more) are held in memory.
    threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)))
    return iter(batches.to_iter_dataset(grain.ReadOptions(threads, threads + 1)))


def _end_with_parent(worker_index: int, worker_count: int) -> None:
    """Ends this worker process when its parent is gone, which a killed parent cannot do."""
    del worker_index, worker_count
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
