"""Batches by step: which examples a step has and how they are prepared, a pure function of the seed and the step.

A batch is a plain dict: `image` uint8 [batch, height, width, 3], `label` int32 [batch] (float32
[batch, classes] of 0 and 1 if a picture can have several labels) and `mask` float32 [batch], 1 where the
example counts and 0 where it only fills up the batch.
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from input_pipeline import decoding, resizing
from input_pipeline.augmentation import Augmentation
from input_pipeline.errors import AugmentationError, DataError
from input_pipeline.splits import Source

Batch = dict[str, np.ndarray]

# The key, beside those of the batch, of the indices of examples that could not be read.
UNREADABLE = "unreadable"
# So many examples in a row that cannot be read end a run.
MAX_REPLACEMENTS = 100


class BatchSource(Protocol):
    """Random access to batches by step, each with the indices of its unreadable examples."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int) -> Batch: ...


@dataclass(frozen=True)
class Schedule:
    """Which examples one shard's part of each training batch has, and how they are seen; see `loader.train_batches`."""

    num_steps: int
    batch_size: int
    seed: int
    augmentation: Augmentation
    image_size: int
    shard_index: int
    shard_count: int

    @property
    def augmentation_seed(self) -> int:
        """The first half of the key of each position's generator, of which the position is the other."""
        return derive_seed(self.seed, "augmentation")

    def positions(self, step: int) -> np.ndarray:
        """Returns how many examples the whole training has taken before each of a step's, int64 [batch]."""
        size = self.batch_size // self.shard_count
        return step * self.batch_size + self.shard_index * size + np.arange(size)

    def examples(self, positions: np.ndarray, num_examples: int) -> np.ndarray:
        """Returns the example at each position, of so many; every epoch takes them in an order of its own."""
        epochs, places = np.divmod(positions // self.augmentation.repeats, num_examples)
        indices = np.empty(len(places), np.int64)
        for epoch in np.unique(epochs):
            of_epoch = epochs == epoch
            order = epoch_order(self.seed, int(epoch), num_examples)
            indices[of_epoch] = order[places[of_epoch]]
        return indices


@dataclass(frozen=True)
class TrainBatches:
    """One shard's part of each training batch; see `loader.train_batches`."""

    schedule: Schedule
    source: Source
    label_shape: tuple[int, ...]
    max_pixels: int = decoding.MAX_PIXELS

    def __len__(self) -> int:
        return self.schedule.num_steps

    def __getitem__(self, step: int) -> Batch:
        augmentation, image_size = self.schedule.augmentation, self.schedule.image_size
        augmentation_seed = self.schedule.augmentation_seed
        positions = self.schedule.positions(step)
        indices = self.schedule.examples(positions, len(self.source))
        batch = _empty_batch((len(positions), image_size, image_size, 3), self.label_shape)
        unreadable: list[int] = []
        for row, (position, index) in enumerate(
            zip(positions.tolist(), indices.tolist(), strict=True)
        ):

            def see(data: bytes, position: int = position) -> np.ndarray:
                # Each position has its own generator, so that no other example's draws shift it.
                rng = np.random.Generator(np.random.Philox(key=[augmentation_seed, position]))
                return training_picture(
                    data, augmentation, image_size, rng, max_pixels=self.max_pixels
                )

            batch["image"][row], batch["label"][row] = self._readable(index, see, unreadable)
        return batch | {UNREADABLE: np.array(unreadable, np.int64)}

    def _readable(
        self, index: int, see: Callable[[bytes], np.ndarray], unreadable: list[int]
    ) -> tuple[np.ndarray, int | np.ndarray]:
        """Returns the picture and label of the first example from `index` on that can be read."""
        for candidate in range(index, index + min(len(self.source), MAX_REPLACEMENTS)):
            candidate %= len(self.source)
            try:
                example = self.source[candidate]
                return see(example["image"]), example["label"]
            except AugmentationError:
                raise
            except DataError as error:
                unreadable.append(candidate)
                reason = error
        raise DataError(
            f"{len(unreadable)} examples in a row cannot be read: {self.source.describe(index)} and on"
            f" (the last: {reason})"
        )


@dataclass(frozen=True)
class EvalBatches:
    """One shard's part of each evaluation batch; see `loader.eval_batches`."""

    source: Source
    label_shape: tuple[int, ...]
    shard_batch_size: int
    image_size: int
    see: Callable[[np.ndarray], np.ndarray]
    crops: int
    shard_index: int
    shard_count: int
    max_pixels: int = decoding.MAX_PIXELS

    def __len__(self) -> int:
        return -(-len(self.source) // (self.shard_batch_size * self.shard_count))

    def __getitem__(self, step: int) -> Batch:
        square = (self.image_size, self.image_size, 3)
        crops = (self.crops,) if self.crops > 1 else ()
        batch = _empty_batch((self.shard_batch_size, *crops, *square), self.label_shape)
        first = (step * self.shard_count + self.shard_index) * self.shard_batch_size
        unreadable = []
        for row, index in enumerate(range(first, first + self.shard_batch_size)):
            picture = None
            if index < len(self.source):
                try:
                    example = self.source[index]
                    picture = self.see(
                        decoding.decode(example["image"], max_pixels=self.max_pixels)
                    )
                except DataError:
                    unreadable.append(index)
            if picture is None:
                batch["image"][row] = batch["label"][row] = batch["mask"][row] = 0
            else:
                batch["image"][row], batch["label"][row] = picture, example["label"]
        return batch | {UNREADABLE: np.array(unreadable, np.int64)}


def training_picture(
    data: bytes,
    augmentation: Augmentation,
    image_size: int,
    rng: np.random.Generator,
    describe: Callable[[], str] = lambda: "picture",
    max_pixels: int = decoding.MAX_PIXELS,
) -> np.ndarray:
    """Returns an encoded picture as training sees it, uint8 [image_size, image_size, 3].

    Raises:
      DataError: it cannot be decoded, or has more than `max_pixels` pixels; the message begins with what `describe`
        returns.
      AugmentationError: a crop or change returns what it may not.
    """

    def choose(rows: int, columns: int) -> resizing.Box:
        return augmentation.choose(rows, columns, image_size, rng)

    picture, box = decoding.decode_part(data, choose, image_size, describe, max_pixels)
    return augmentation.apply_changes(resizing.resize_fast(picture, box, image_size), rng)


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


def _empty_batch(image_shape: tuple[int, ...], label_shape: tuple[int, ...]) -> Batch:
    return {
        "image": np.empty(image_shape, np.uint8),
        "label": np.empty((image_shape[0], *label_shape), np.float32 if label_shape else np.int32),
        "mask": np.ones(image_shape[0], np.float32),
    }
