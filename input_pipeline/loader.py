"""Reads splits as batches, ahead of time; `batches.py` says what is in them.

The unit handed to Grain, which reads ahead in threads or worker processes, is a whole batch.
Grain's own shuffle, random_map and batch give the same guarantees and cost over 100 microseconds
an example, several times what a small picture takes from disk to pixels.
"""

import functools
import gc
import os
import threading
import time
from collections.abc import Iterator

from absl import flags

from input_pipeline import decoding, device_cache, faults, resizing
from input_pipeline.augmentation import Augmentation
from input_pipeline.batches import (
    UNREADABLE,
    Batch,
    BatchSource,
    EvalBatches,
    Schedule,
    TrainBatches,
)
from input_pipeline.datasets import Dataset
from input_pipeline.errors import DataError, unknown_name
from input_pipeline.names import printable
from input_pipeline.splits import Source

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
    augmentation: Augmentation | None = None,
    num_workers: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
    max_unreadable_fraction: float = faults.DEFAULT_MAX_FRACTION,
    max_pixels: int = decoding.MAX_PIXELS,
    cached: device_cache.CachedSplit | None = None,
) -> "Batches":
    """Returns the batches of steps `start_step` to `num_steps` (exclusive).

    Every epoch holds every example once, in a new order and newly augmented; a batch may straddle
    two epochs. The examples of a step depend on `seed` and the step alone: not on where reading
    started, nor on the number of workers, nor on how many shards share the batch. An example that
    cannot be read is replaced by the next one in the split that can.

    Args:
      dataset: from `datasets.load`.
      split: such as `train` or `train[:90%]`.
      image_size: the height and width of the pictures, in pixels.
      batch_size: the number of examples in a step over all shards; a shard gets `batch_size // shard_count`.
      num_steps: the number of steps of the whole training.
      seed: the seed that order and augmentation derive theirs from.
      start_step: the step to resume from.
      augmentation: from `augmentation.create`; the default takes the center square.
      num_workers: the number of processes that prepare batches; 0 for threads of this process.
      shard_index: which part of each batch this host reads; the parts in order make up the batch.
      shard_count: the number of hosts that share each batch.
      max_unreadable_fraction: the share of the split's examples that may be unreadable.
      max_pixels: a picture with more pixels is unreadable, see `decoding.decode`.
      cached: the split, if its pictures are on the devices: a batch is then what `device_cache.DrawnBatches` draws.

    Raises:
      DataError: the split is unknown, or the numbers do not fit together; while iterating, too
        many examples cannot be read, or a worker process was killed.
    """
    _check_shard(batch_size, shard_index, shard_count)
    if batch_size % shard_count:
        raise DataError(
            f"batch_size {batch_size} does not divide among {shard_count} hosts,"
            f" {batch_size + shard_count - batch_size % shard_count} would"
        )
    if not 0 <= start_step <= num_steps:
        raise DataError(f"start_step {start_step} is not between 0 and num_steps {num_steps}")
    source = dataset.source(split)
    schedule = Schedule(
        num_steps=num_steps,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation or Augmentation(),
        image_size=image_size,
        shard_index=shard_index,
        shard_count=shard_count,
    )
    batches: BatchSource
    if cached is None:
        batches = TrainBatches(schedule, source, dataset.label_shape, max_pixels)
    else:
        batches = device_cache.DrawnBatches.of(cached, schedule, source)
    unreadable = _faults(dataset, split, source, max_unreadable_fraction, max_pixels)
    return Batches(batches, start_step, num_workers, unreadable)


def eval_batches(
    dataset: Dataset,
    split: str,
    *,
    image_size: int,
    batch_size: int,
    crop_fraction: float = 1.0,
    interpolation: str = "bilinear",
    crops: int = 1,
    num_workers: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
    max_unreadable_fraction: float = faults.DEFAULT_MAX_FRACTION,
    max_pixels: int = decoding.MAX_PIXELS,
) -> "Batches":
    """Returns batches that hold every example of `split` exactly once over all shards.

    Every shard gets the same number of batches of the same size, `batch_size / shard_count`
    rounded up; the last ones are filled up with black pictures whose mask is 0, as is an example that
    cannot be read.

    Args:
      dataset: from `datasets.load`.
      split: such as `test` or `train[90%:]`.
      image_size: the height and width of the pictures, in pixels.
      batch_size: the number of examples in a batch over all shards.
      crop_fraction: the share of the shorter side that is seen, see `resizing.evaluation_boxes`.
      interpolation: how pictures are resized, a name in `resizing.INTERPOLATIONS`.
      crops: 1, or 10 for images [batch, 10, height, width, 3], see `resizing.ten_crops`.
      num_workers: the number of processes that prepare batches; 0 for threads of this process.
      shard_index: which part of each batch this host reads.
      shard_count: the number of hosts that share each batch.
      max_unreadable_fraction: the share of the split's examples that may be unreadable.
      max_pixels: a picture with more pixels is unreadable, see `decoding.decode`.

    Raises:
      DataError: the split is unknown or empty, or the numbers do not fit together; while
        iterating, too many examples cannot be read, or a worker process was killed.
    """
    _check_shard(batch_size, shard_index, shard_count)
    if not 0 < crop_fraction <= 1:
        raise DataError(f"crop_fraction {crop_fraction} is not above 0 and at most 1")
    if interpolation not in resizing.INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, resizing.INTERPOLATIONS)
    if crops not in (1, 10):
        raise DataError(f"crops is 1 or 10, not {crops}")
    source = dataset.source(split)
    batches = EvalBatches(
        source=source,
        label_shape=dataset.label_shape,
        shard_batch_size=-(-batch_size // shard_count),
        image_size=image_size,
        see=functools.partial(
            resizing.evaluate_picture if crops == 1 else resizing.ten_crops,
            image_size=image_size,
            crop_fraction=crop_fraction,
            interpolation=interpolation,
        ),
        crops=crops,
        shard_index=shard_index,
        shard_count=shard_count,
        max_pixels=max_pixels,
    )
    unreadable = _faults(dataset, split, source, max_unreadable_fraction, max_pixels)
    return Batches(batches, 0, num_workers, unreadable)


class Batches(Iterator[Batch]):
    """Iterates over batches, read ahead by threads or by worker processes, which `close` ends.

    Attributes:
      faults: the examples that turned out to be unreadable so far.
    """

    def __init__(
        self, batches: BatchSource, start_step: int, num_workers: int, unreadable: faults.Faults
    ):
        self.faults = unreadable
        self._num_workers = num_workers
        self._batches = _read(batches, start_step, num_workers)

    def __next__(self) -> Batch:
        try:
            batch = next(self._batches)
        except DataError as error:
            # Grain adds lines on its own traceback.
            raise type(error)(str(error).split("\n")[0]) from error
        except RuntimeError as error:
            if "worker" not in str(error).lower():
                raise
            raise DataError(
                "a worker process that prepares batches ended unexpectedly, killed or out of memory;"
                " use fewer (num_workers) or free some memory"
            ) from error
        self.faults.add(batch.pop(UNREADABLE))
        return batch

    def close(self) -> None:
        """Stops reading ahead; there is no next batch."""
        batches, self._batches = self._batches, iter(())
        if hasattr(batches, "close"):
            batches.close()
        if self._num_workers:
            # Memory shared with the processes is freed with its arrays, some of which are in cycles.
            del batches
            gc.collect()


def _check_shard(batch_size: int, shard_index: int, shard_count: int) -> None:
    if batch_size < 1:
        raise DataError(f"batch_size {batch_size} is not a positive number")
    if not 0 <= shard_index < shard_count:
        raise DataError(f"shard_index {shard_index} is not from 0 to below {shard_count}")


def _faults(
    dataset: Dataset, split: str, source: Source, max_fraction: float, max_pixels: int
) -> faults.Faults:
    def reason(index: int) -> str:
        try:
            decoding.decode(source[index]["image"], lambda: source.describe(index), max_pixels)
        except DataError as error:
            return str(error)
        return f"{source.describe(index)} could not be read a moment ago"

    return faults.Faults(f"{printable(dataset.name)} {split}", len(source), reason, max_fraction)


def _read(batches: BatchSource, start_step: int, num_workers: int) -> Iterator[Batch]:
    """Returns the batches in order, read ahead by threads or by worker processes."""
    import grain

    if start_step == len(batches):
        return iter(())
    dataset = grain.MapDataset.source(batches)[start_step:]
    if num_workers:
        # Grain passes absl's flags on to its workers; in a notebook they have not been parsed.
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
    """Ends this worker process when its parent is gone; a killed parent cannot do it."""
    del worker_index, worker_count
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
