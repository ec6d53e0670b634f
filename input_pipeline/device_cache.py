"""A training split that is kept decoded on the devices: read once, after which a batch is a few numbers an example.

The numbers say which example it is, which part of it is taken and how it is changed. They are drawn by the code that
`batches.TrainBatches` draws them with, from the same generators, so that order and augmentation are the same functions
of the seed and the step. `on_device_crops.py` makes the pictures of them, inside the compiled step.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from input_pipeline import decoding, jpeg, passes, resizing
from input_pipeline.augmentation import DRAWS, Augmentation, center
from input_pipeline.batches import (
    MAX_REPLACEMENTS,
    UNREADABLE,
    Batch,
    Schedule,
)
from input_pipeline.errors import DataError
from input_pipeline.splits import Source
from isobudget.wording import quoted

# How a picture was encoded, which decides what the host would decode of it.
_NO_JPEG, _JPEG, _JPEG_TO_CUT = range(3)


class Drawn(NamedTuple):
    """What a change of pictures draws: its name, its options, and its key in a batch."""

    name: str
    options: Mapping[str, Any]
    key: str


@dataclasses.dataclass(frozen=True, eq=False)
class CachedSplit:
    """A split's examples, decoded, in the host's memory, from where they are copied to each device.

    Attributes:
      rows, columns: the size of every picture, in pixels.
      pictures: uint8 [examples, rows * columns * 3] at each scale that is needed, by the scale in eighths; flat,
        because accelerators pad short axes. What could not be read is black.
      labels: int32 [examples], or float32 [examples, classes].
      encodings: how each picture was encoded.
      stand_ins: int64 [examples], the example that is used for each: itself, or the next one that could be read; -1 if
        there is none.
      seconds: how long it took to read and decode.
    """

    rows: int
    columns: int
    pictures: Mapping[int, np.ndarray]
    labels: np.ndarray
    encodings: np.ndarray
    stand_ins: np.ndarray
    seconds: float

    def __len__(self) -> int:
        return len(self.labels)

    def size_at(self, eighths: int) -> tuple[int, int]:
        """Returns the rows and columns of its pictures at a scale."""
        return jpeg.reduced(self.rows, eighths), jpeg.reduced(self.columns, eighths)

    def scales_for(self, image_size: int) -> tuple[int, ...]:
        """Returns the scales, in eighths, that squares of `image_size` may be cut from, coarsest first."""
        scales = _scales(self.rows, self.columns, image_size)
        return tuple(each for each in scales if each in self.pictures)


def check_changes(augmentation: Augmentation) -> None:
    """Checks that the compiled step can make the changes.

    Raises:
      DataError: it cannot make one of them.
    """
    for name, _ in augmentation.named_changes:
        if name not in DRAWS:
            raise DataError(
                f"the change {quoted(name)} is made on the host alone (on the devices: {', '.join(DRAWS)})"
            )


def drawn_changes(augmentation: Augmentation) -> tuple[Drawn, ...]:
    """Returns what each of the changes draws, in order."""
    named = enumerate(augmentation.named_changes)
    return tuple(Drawn(name, options, f"change {place}") for place, (name, options) in named)


def num_bytes(
    num_examples: int, rows: int, columns: int, image_sizes: Sequence[int], label_size: int = 1
) -> int:
    """Returns how much memory a split of pictures of one size takes at most on each device, in bytes.

    Args:
      num_examples: how many pictures there are.
      rows, columns: the size of each.
      image_sizes: the sides of the squares that training cuts from them, in pixels.
      label_size: how many numbers a label has.
    """
    scales = {each for side in image_sizes for each in _scales(rows, columns, side)}
    pixels = sum(jpeg.reduced(rows, each) * jpeg.reduced(columns, each) for each in scales)
    return num_examples * (3 * pixels + 4 * label_size)


def read(
    source: Source,
    *,
    label_shape: tuple[int, ...] = (),
    image_sizes: Sequence[int],
    max_pixels: int = decoding.MAX_PIXELS,
    check_bytes: Callable[[int], None] = lambda needed: None,
) -> CachedSplit:
    """Returns a split, decoded by one thread per core.

    Args:
      source: its encoded examples.
      label_shape: see `datasets.Dataset.label_shape`.
      image_sizes: the sides of the squares that training cuts from its pictures, in pixels.
      max_pixels: a picture with more pixels is unreadable, see `decoding.decode`.
      check_bytes: is told how much memory the split will take on each device, before it is decoded, and raises if
        that is too much.

    Raises:
      DataError: pictures differ in size, or the first hundred cannot be read.
    """
    start = time.perf_counter()
    first, (rows, columns) = _first_size(source, max_pixels)
    check_bytes(num_bytes(len(source), rows, columns, image_sizes, int(np.prod(label_shape))))
    all_scales = {each for side in image_sizes for each in _scales(rows, columns, side)}
    pictures = {scale: _black(len(source), rows, columns, scale) for scale in all_scales}
    labels = np.zeros((len(source), *label_shape), np.float32 if label_shape else np.int32)
    encodings = np.zeros(len(source), np.uint8)
    is_read = np.zeros(len(source), bool)

    def decode(index: int) -> tuple[int, int] | None:
        """Fills in an example, and returns its size; None if it cannot be read."""
        try:
            example = source[index]
            encodings[index], decoded = _decode(example["image"], all_scales, max_pixels)
        except DataError:
            return None
        labels[index] = example["label"]
        size = decoded[jpeg.WHOLE].shape[:2]
        if size == (rows, columns):
            for scale, picture in decoded.items():
                pictures[scale][index] = picture.reshape(-1)
            is_read[index] = True
        return size

    sizes = passes.in_threads(decode, range(len(source)))
    with passes.progress("decoding", len(source)) as advance:
        for index, size in enumerate(sizes):
            advance(1)
            if size not in (None, (rows, columns)):
                raise _another_size(source, index, size, first, (rows, columns))
    if not (encodings != _NO_JPEG).any():  # only a JPEG is ever decoded at another scale
        pictures = {jpeg.WHOLE: pictures[jpeg.WHOLE]}
    seconds = time.perf_counter() - start
    return CachedSplit(rows, columns, pictures, labels, encodings, _stand_ins(is_read), seconds)


def check_sizes(source: Source, max_pixels: int = decoding.MAX_PIXELS) -> None:
    """Checks that all pictures that can be read have one size, decoding none of those whose header says it.

    Raises:
      DataError: they differ in size, or the first hundred cannot be read.
    """
    first, expected = _first_size(source, max_pixels)

    def size_of(index: int) -> tuple[int, int] | None:
        try:
            data = source[index]["image"]
            head = jpeg.header(data)
            return (
                decoding.decode(data, max_pixels=max_pixels).shape[:2] if head is None else head[:2]
            )
        except DataError:
            return None

    for index, size in enumerate(passes.in_threads(size_of, range(len(source)))):
        if size not in (None, expected):
            raise _another_size(source, index, size, first, expected)


def _another_size(
    source: Source, index: int, size: tuple[int, int], first: int, expected: tuple[int, int]
) -> DataError:
    return DataError(
        f"pictures of one size alone can be kept on the devices, and {source.describe(index)} has"
        f" {size[1]} x {size[0]} pixels where {source.describe(first)} has {expected[1]} x {expected[0]}"
    )


def _scales(rows: int, columns: int, image_size: int) -> tuple[int, ...]:
    """Returns the scales, in eighths, at which a picture still has `image_size` pixels a side, and the whole."""
    smaller = (
        each
        for each in jpeg.REDUCTIONS
        if min(jpeg.reduced(rows, each), jpeg.reduced(columns, each)) >= image_size
    )
    return (*smaller, jpeg.WHOLE)


def _black(num_examples: int, rows: int, columns: int, scale: int) -> np.ndarray:
    pixels = jpeg.reduced(rows, scale) * jpeg.reduced(columns, scale)
    return np.zeros((num_examples, pixels * 3), np.uint8)


def _first_size(source: Source, max_pixels: int) -> tuple[int, tuple[int, int]]:
    """Returns the first example that can be read, and the (rows, columns) of its picture."""
    reason: DataError | None = None
    for index in range(min(len(source), MAX_REPLACEMENTS)):
        try:
            _, decoded = _decode(source[index]["image"], (jpeg.WHOLE,), max_pixels)
            return index, decoded[jpeg.WHOLE].shape[:2]
        except DataError as error:
            reason = error
    raise DataError(f"none of the first pictures can be read (the last: {reason})")


def _decode(
    data: bytes, scales: Sequence[int] | set[int], max_pixels: int
) -> tuple[int, dict[int, np.ndarray]]:
    """Returns how a picture is encoded and its pixels at each scale, as `decoding.decode_part` decodes its parts."""
    with decoding.naming(lambda: "picture", data):
        head = jpeg.header(data)
        if head is not None:
            decoding.check_size(head.rows, head.columns, max_pixels)
    if head is not None:
        try:
            encoding = _JPEG_TO_CUT if jpeg.can_be_cut(data, head) else _JPEG
            return encoding, {scale: jpeg.decode_at(data, head, scale) for scale in scales}
        except Exception:  # Pillow decides
            pass
    return _NO_JPEG, {jpeg.WHOLE: decoding.decode(data, max_pixels=max_pixels)}


def _stand_ins(is_read: np.ndarray) -> np.ndarray:
    """Returns for each example the first that can be read, from it on and then from the beginning; -1 for none."""
    stand_ins = np.arange(len(is_read))
    for index in np.flatnonzero(~is_read):
        candidates = (index + np.arange(min(len(is_read), MAX_REPLACEMENTS))) % len(is_read)
        readable = candidates[is_read[candidates]]
        stand_ins[index] = readable[0] if len(readable) else -1
    return stand_ins


@dataclasses.dataclass(frozen=True)
class DrawnBatches:
    """One shard's part of each training batch of a cached split, in numbers; see `loader.train_batches`.

    A batch has `example` int32 [batch]; `box` int32 [batch, 5], the scale in eighths and the part's top, left, height
    and width in pixels at that scale; what each change draws, float32 [batch, numbers]; and `mask` float32 [batch].
    """

    schedule: Schedule
    source: Source
    rows: int
    columns: int
    encodings: np.ndarray
    stand_ins: np.ndarray

    @classmethod
    def of(cls, split: CachedSplit, schedule: Schedule, source: Source) -> "DrawnBatches":
        """Returns the batches of a split, without its pictures, which worker processes do not need."""
        return cls(schedule, source, split.rows, split.columns, split.encodings, split.stand_ins)

    def __len__(self) -> int:
        return self.schedule.num_steps

    def __getitem__(self, step: int) -> Batch:
        augmentation, image_size = self.schedule.augmentation, self.schedule.image_size
        positions = self.schedule.positions(step)
        wanted = self.schedule.examples(positions, len(self.stand_ins))
        used = self.stand_ins[wanted]
        changes = drawn_changes(augmentation)
        is_fixed = _takes_the_center(augmentation)
        box_of: dict[int, tuple[int, ...]] = {}  # the last of each encoding
        boxes, drawn = [], []
        encodings = self.encodings[used].tolist()
        for encoding, rng in zip(encodings, self._generators(positions), strict=True):
            if not (is_fixed and encoding in box_of):
                box_of[encoding] = self._box(encoding, rng)
            boxes.append(box_of[encoding])
            drawn.append([DRAWS[name](image_size, rng, **options) for name, options, _ in changes])
        numbers = {
            change.key: np.array([each[place] for each in drawn], np.float32)
            for place, change in enumerate(changes)
        }
        return {
            "example": used.astype(np.int32),
            "box": np.array(boxes, np.int32),
            "mask": np.ones(len(used), np.float32),
            UNREADABLE: self._passed_over(wanted, used),
        } | numbers

    def _generators(self, positions: np.ndarray) -> Iterator[np.random.Generator]:
        """Yields the generator of each position, good until the next: `TrainBatches` makes the same anew each time."""
        bits = np.random.Philox(key=[self.schedule.augmentation_seed, 0])
        rng, beginning = np.random.Generator(bits), bits.state
        for position in positions:
            beginning["state"]["key"][1] = position
            bits.state = beginning  # a tenth of the time that a new one takes
            yield rng

    def _box(self, encoding: int, rng: np.random.Generator) -> tuple[int, int, int, int, int]:
        """Returns the scale that the host would decode a picture at, and the part that it would take."""
        image_size = self.schedule.image_size
        box = self.schedule.augmentation.choose(self.rows, self.columns, image_size, rng)
        scale, rows = jpeg.WHOLE, self.rows
        if encoding != _NO_JPEG:
            rows = jpeg.rows_decoded(self.rows, box, encoding == _JPEG_TO_CUT)
            scale = jpeg.scale_decoded(rows, self.columns, box, image_size)
        height, width = jpeg.reduced(rows, scale), jpeg.reduced(self.columns, scale)
        scaled = box.scaled(height / rows, width / self.columns)
        return scale, *resizing.whole_pixels(scaled, height, width)

    def _passed_over(self, wanted: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Returns the unreadable examples that others stand in for.

        Raises:
          DataError: nothing can stand in for one.
        """
        passed_over: list[int] = []
        for index, stand_in in zip(wanted, used, strict=True):
            if stand_in < 0:
                raise DataError(
                    f"{min(len(self.stand_ins), MAX_REPLACEMENTS)} examples in a row cannot be read:"
                    f" {self.source.describe(int(index))} and on"
                )
            while index != stand_in:
                passed_over.append(int(index))
                index = (index + 1) % len(self.stand_ins)
        return np.array(passed_over, np.int64)


def takes_whole_pictures(split: CachedSplit, augmentation: Augmentation, image_size: int) -> bool:
    """Returns whether every part is its whole picture as it is, so that there is nothing to cut or to resize."""
    return _takes_the_center(augmentation) and (split.rows, split.columns) == (
        image_size,
        image_size,
    )


def _takes_the_center(augmentation: Augmentation) -> bool:
    """Returns whether the crop is the same of every picture, and draws nothing."""
    return getattr(augmentation.crop, "func", augmentation.crop) is center
