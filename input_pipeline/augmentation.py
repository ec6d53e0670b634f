"""Random augmentation on the host: which part of each training picture is taken, and how it is changed, all in uint8.

A crop chooses a part of a picture by the picture's size; a change turns a square into another. Each is registered under
the name that configurations use, in `CROPS` or `CHANGES`, and takes its options as keywords with defaults.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from input_pipeline.auto_augment import rand_augment, trivial_augment
from input_pipeline.color import color_jitter, pca_color
from input_pipeline.errors import AugmentationError, DataError, unknown_name
from input_pipeline.registries import CHANGES, CROPS, options, register_change, register_crop
from input_pipeline.resizing import Box, evaluation_boxes
from isobudget.wording import quoted

# (rows, columns, image_size, generator) -> the part that is taken.
Crop = Callable[[int, int, int, np.random.Generator], Box]
# (uint8 [image_size, image_size, 3], generator) -> the same, changed.
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# Papers give their numbers of pixels for crops of this side.
_PAPER_SIZE = 224

# How far a part may reach beyond the picture, in pixels, because its sides were computed in floating point.
_ROUNDING = 1e-6


@register_crop("center")
def center(rows: int, columns: int, image_size: int, rng: np.random.Generator) -> Box:
    """Returns the largest square at the center; nothing is random."""
    del rng
    return evaluation_boxes(rows, columns, image_size, 1.0, 1)[0]


@register_crop("random_resized")
def random_resized(
    rows: int,
    columns: int,
    image_size: int,
    rng: np.random.Generator,
    *,
    min_area: float = 0.08,
    max_area: float = 1.0,
) -> Box:
    """Returns a random part of 8 to 100% of the area, its sides in a ratio from 3/4 to 4/3.

    If ten draws do not fit, it is the center. Szegedy et al. 2014, section 6; torchvision's `RandomResizedCrop`.
    """
    del image_size
    smallest, largest = 3 / 4, 4 / 3
    for _ in range(10):
        area = rows * columns * rng.uniform(min_area, max_area)
        ratio = math.exp(rng.uniform(math.log(smallest), math.log(largest)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= columns and 0 < height <= rows:
            return Box(
                int(rng.integers(rows - height + 1)),
                int(rng.integers(columns - width + 1)),
                height,
                width,
            )
    height = min(rows, max(1, round(columns / smallest)))
    width = min(columns, max(1, round(rows * largest)))
    return Box((rows - height) // 2, (columns - width) // 2, height, width)


@register_crop("random_side")
def random_side(
    rows: int,
    columns: int,
    image_size: int,
    rng: np.random.Generator,
    *,
    smallest: int = 256,
    largest: int = 480,
) -> Box:
    """Returns a random square after scaling the shorter side to a random length: ResNet's scale jitter.

    He et al. 2015, section 3.4 (256 to 480 pixels); Simonyan and Zisserman 2014, section 3.1 (256 to 512). The lengths
    are for crops of 224 pixels, and scale with the crop.
    """
    side = int(rng.integers(smallest, largest + 1)) * image_size / _PAPER_SIZE
    return _anywhere(rows, columns, image_size / side, rng)


@register_crop("random_position")
def random_position(
    rows: int,
    columns: int,
    image_size: int,
    rng: np.random.Generator,
    *,
    side: int = 256,
) -> Box:
    """Returns a random square inside the center square, which has `side` pixels for crops of 224: AlexNet's crop.

    Krizhevsky et al. 2012, section 4.1.
    """
    del image_size
    square = min(rows, columns)
    inner = _anywhere(square, square, _PAPER_SIZE / side, rng)
    return inner._replace(
        top=inner.top + (rows - square) / 2, left=inner.left + (columns - square) / 2
    )


def _anywhere(rows: int, columns: int, fraction: float, rng: np.random.Generator) -> Box:
    """Returns a square of this fraction of the shorter side at a random place."""
    side = min(1.0, fraction) * min(rows, columns)
    return Box(rng.uniform(0, rows - side), rng.uniform(0, columns - side), side, side)


@register_change("flip")
def flip(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the picture, mirrored left to right with probability 1/2."""
    (mirrored,) = _draw_flip(picture.shape[0], rng)
    # A reversed NumPy view takes ten times as long to copy into the batch.
    return cv2.flip(picture, 1) if mirrored else picture


def _draw_flip(size: int, rng: np.random.Generator) -> tuple[int]:
    """Returns whether a picture is mirrored, 1 or 0."""
    del size
    return (int(rng.random() < 0.5),)


@register_change("shift")
def shift(
    picture: np.ndarray,
    rng: np.random.Generator,
    *,
    distance: float = 0.1,
    degrees: float = 10.0,
    zoom: float = 1.1,
) -> np.ndarray:
    """Returns the picture shifted by up to a tenth, rotated by up to 10 degrees and zoomed by up to 10%.

    For pictures that must not be mirrored, such as digits. Pixels from outside the picture repeat its edge.
    """
    size = picture.shape[0]
    return cv2.warpAffine(
        picture,
        _shift_matrix(size, rng, distance=distance, degrees=degrees, zoom=zoom),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _shift_matrix(
    size: int, rng: np.random.Generator, *, distance: float, degrees: float, zoom: float
) -> np.ndarray:
    """Returns where a shifted picture shows each point (x, y), float64 [2, 3]."""
    right, down, turn, grow = rng.uniform(-1, 1, 4)
    angle, scale = math.radians(degrees * turn), zoom**grow
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    middle = (size - 1) / 2
    return np.array(
        [
            [cos, sin, middle * (1 - cos - sin) + distance * size * right],
            [-sin, cos, middle * (1 + sin - cos) + distance * size * down],
        ]
    )


def _draw_shift(
    size: int,
    rng: np.random.Generator,
    *,
    distance: float = 0.1,
    degrees: float = 10.0,
    zoom: float = 1.1,
) -> tuple[float, ...]:
    """Returns the matrix that says which point of a picture a pixel of the shifted one shows, row by row."""
    matrix = _shift_matrix(size, rng, distance=distance, degrees=degrees, zoom=zoom)
    return tuple(cv2.invertAffineTransform(matrix).ravel().tolist())


@register_change("pad_and_crop")
def pad_and_crop(
    picture: np.ndarray, rng: np.random.Generator, *, fraction: float = 0.125
) -> np.ndarray:
    """Returns the picture shifted by up to an eighth, with black around it: at 32 pixels, CIFAR's padding by 4.

    He et al. 2015, section 4.2.
    """
    size = picture.shape[0]
    pad = padding(size, fraction)
    padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)))
    top, left = _draw_pad_and_crop(size, rng, fraction=fraction)
    return padded[top : top + size, left : left + size]


def padding(size: int, fraction: float) -> int:
    """Returns how many black pixels `pad_and_crop` adds to each side of a picture of `size` pixels."""
    return int(size * fraction)


def _draw_pad_and_crop(
    size: int, rng: np.random.Generator, *, fraction: float = 0.125
) -> tuple[int, int]:
    """Returns the row and column of the padded picture at which the crop begins."""
    top, left = rng.integers(2 * padding(size, fraction) + 1, size=2)
    return int(top), int(left)


# What is random in the changes that the compiled step can make too (`on_device_crops.py`): each is called as
# (image_size, rng) with the change's options, draws what the change itself draws, and returns numbers for float32.
DRAWS: dict[str, Callable[..., tuple[float, ...]]] = {
    "flip": _draw_flip,
    "shift": _draw_shift,
    "pad_and_crop": _draw_pad_and_crop,
}

for _change in (color_jitter, pca_color, rand_augment, trivial_augment):
    register_change(_change.__name__)(_change)


@dataclass(frozen=True)
class Augmentation:
    """How each training picture is augmented.

    Attributes:
      crop: chooses the part of the picture.
      changes: applied in order once that part is resized.
      repeats: how many times in a row each example comes, augmented anew each time (Hoffer et al. 2019,
        arXiv:1901.09335).
    """

    crop: Crop = center
    changes: tuple[Change, ...] = ()
    repeats: int = 1

    def choose(self, rows: int, columns: int, image_size: int, rng: np.random.Generator) -> Box:
        """Returns the part of a picture that is taken.

        Raises:
          AugmentationError: the crop's answer is not a part of the picture.
        """
        box = self.crop(rows, columns, image_size, rng)
        if not (isinstance(box, Box) and _is_inside(box, rows, columns)):
            raise AugmentationError(
                f"the crop {quoted(_name(self.crop, CROPS))} has to return a Box inside the picture of"
                f" {rows} x {columns} pixels, not {box}"
            )
        return box

    @property
    def named_changes(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """The name and the options of each change."""
        return tuple(
            (_name(change, CHANGES), dict(getattr(change, "keywords", {})))
            for change in self.changes
        )

    def apply_changes(self, square: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns a square, uint8 [image_size, image_size, 3], after all changes in order.

        Raises:
          AugmentationError: a change returns another shape or dtype.
        """
        for change in self.changes:
            changed = change(square, rng)
            if not isinstance(changed, np.ndarray) or (
                (changed.shape, changed.dtype) != (square.shape, square.dtype)
            ):
                raise AugmentationError(
                    f"the change {quoted(_name(change, CHANGES))} has to return a picture like the one it"
                    f" is given, {_describe(square)}, not {_describe(changed)}"
                )
            square = changed
        return square


def defaults() -> dict[str, Any]:
    """Returns what a configuration may set: `crop`, `changes`, `repeats`, and under each name its options."""
    chosen: dict[str, Any] = {"crop": "center", "changes": (), "repeats": 1}
    by_name = {name: options(function) for name, function in (CROPS | CHANGES).items()}
    return chosen | {name: listed for name, listed in by_name.items() if listed}


def create(chosen: Mapping[str, Any]) -> Augmentation:
    """Returns the augmentation that a configuration describes.

    Args:
      chosen: as `defaults` returns it; missing entries take their defaults.

    Raises:
      DataError: a crop, change or option is unknown, or `repeats` is below 1.
    """
    repeats = chosen.get("repeats", 1)
    if repeats < 1:
        raise DataError(f"augmentation.repeats is a whole number from 1, not {repeats}")
    return Augmentation(
        crop=_named("crop", chosen.get("crop", "center"), CROPS, chosen),
        changes=tuple(
            _named("change", name, CHANGES, chosen) for name in _names(chosen.get("changes", ()))
        ),
        repeats=repeats,
    )


def _named(
    kind: str, name: str, registry: Mapping[str, Callable[..., Any]], chosen: Mapping[str, Any]
) -> Callable[..., Any]:
    if name not in registry:
        raise unknown_name(kind, name, registry)
    values = dict(chosen.get(name, {}))
    known = options(registry[name])
    for option in values:
        if option not in known:
            raise unknown_name(f"option of {kind} {quoted(name)}", option, known)
    return functools.partial(registry[name], **values) if values else registry[name]


def _names(changes: str | Sequence[str]) -> tuple[str, ...]:
    return (changes,) if isinstance(changes, str) else tuple(changes)


def _is_inside(box: Box, rows: int, columns: int) -> bool:
    return (
        box.top >= 0
        and box.left >= 0
        and 0 < box.height <= rows - box.top + _ROUNDING
        and 0 < box.width <= columns - box.left + _ROUNDING
    )


def _name(function: Callable[..., Any], registry: Mapping[str, Callable[..., Any]]) -> str:
    """Returns the name that a crop or change is registered by, or its own if it is not."""
    function = getattr(function, "func", function)  # of functools.partial
    names = [name for name, registered in registry.items() if registered is function]
    return names[0] if names else getattr(function, "__qualname__", repr(function))


def _describe(picture: Any) -> str:
    if isinstance(picture, np.ndarray):
        return f"{picture.dtype} {list(picture.shape)}"
    return f"a {type(picture).__name__}"
