"""What the host does with decoded training pictures, done by the compiled step: crop, resize, flip, pad and crop.

For pictures that are kept on the devices (`device_cache.py`). A part is resized as `resizing.resize_fast` does it, in
OpenCV's own whole numbers: enlarged, or reduced to more than half its size, it has the same bits. Reduced to half or
less, as only formats other than JPEG are (or a JPEG to a sixteenth), a pixel may differ by one level; so may one in
tens of thousands after `shift`, which both compute in floating point.

Matrix products select and weigh rows and columns, because accelerators have no faster way; their values are whole
numbers below 2^24, which float32 holds exactly.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.augmentation import DRAWS, Augmentation, padding
from input_pipeline.device_cache import (
    CachedSplit,
    Drawn,
    drawn_changes,
    takes_whole_pictures,
)

Array = jax.Array
# Arrays by name; those of the split itself are a dict of their own.
Arrays = dict[str, Any]

# The key of the split's own arrays in a batch.
CACHED = "cached"

# OpenCV's weights of two neighbors add up to 2^11, and it drops bits in this order.
_ONE, _DROP_FIRST, _DROP_SECOND, _DROP_LAST = 1 << 11, 4, 16, 2


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How the compiled step makes a batch of a cached split's examples.

    Attributes:
      image_size: the side of the squares, in pixels.
      sizes: the rows and columns of the pictures at each scale, by the scale in eighths.
      changes: what is done to the squares, in order.
      whole: whether each picture is taken as it is.
    """

    image_size: int
    sizes: Mapping[int, tuple[int, int]]
    changes: tuple[Drawn, ...]
    whole: bool


def recipe(split: CachedSplit, augmentation: Augmentation, image_size: int) -> Recipe:
    """Returns how squares of a size are made of a split's pictures."""
    return Recipe(
        image_size=image_size,
        sizes={scale: split.size_at(scale) for scale in split.scales_for(image_size)},
        changes=drawn_changes(augmentation),
        whole=takes_whole_pictures(split, augmentation, image_size),
    )


def weights(of: Recipe) -> dict[str, np.ndarray]:
    """Returns what resizing looks up on the device beside the pictures, int32 [length, size, 4] by direction and scale.

    For a part of each length it has, for each pixel of the result, the two pixels that it is between and their weights.
    """
    tables = {}
    for scale, (rows, columns) in of.sizes.items():
        tables[f"rows {scale}"] = np.stack(
            [_between(length, of.image_size, clip_weights=False) for length in range(1, rows + 1)]
        )
        tables[f"columns {scale}"] = np.stack(
            [_between(length, of.image_size, clip_weights=True) for length in range(1, columns + 1)]
        )
    return tables


def _between(length: int, size: int, *, clip_weights: bool) -> np.ndarray:
    """Returns the pixels of a line that each of `size` pixels is between, and their weights, int32 [size, 4].

    Beyond the edge OpenCV repeats a line's last pixel; along rows (`clip_weights`) it is given all the weight, and
    along columns it is weighed twice, which rounds otherwise.
    """
    places = ((np.arange(size) + 0.5) * (1 / (size / length)) - 0.5).astype(np.float32)
    first = np.floor(places).astype(np.int32)
    share = places - first.astype(np.float32)
    if clip_weights:
        share = np.where((first < 0) | (first >= length - 1), np.float32(0), share)
    shares = np.stack([np.float32(1) - share, share], axis=1)
    pixels = np.clip(np.stack([first, first + 1], axis=1), 0, length - 1)
    return np.concatenate([pixels, np.rint(shares * np.float32(_ONE)).astype(np.int32)], axis=1)


def make_examples(of: Recipe) -> Callable[[Arrays], Arrays]:
    """Returns the function that turns a drawn batch into one of pictures, to be compiled.

    It takes what `device_cache.DrawnBatches` draws, with `cached` (pictures, labels and `weights`) beside it, and
    returns image uint8 [batch, image_size, image_size, 3], label and mask.
    """

    def examples(batch: Arrays) -> Arrays:
        cached, example, box = batch[CACHED], batch["example"], batch["box"]
        pictures = {
            scale: cached[f"pictures {scale}"][example].reshape(-1, *size, 3)
            for scale, size in of.sizes.items()
        }
        if of.whole:
            (images,) = pictures.values()
        else:
            images = _resized(of, pictures, cached, box)
        for name, options, key in of.changes:
            images = CHANGES[name](images, batch[key], **options)
        return {"image": images, "label": cached["labels"][example], "mask": batch["mask"]}

    return examples


def _resized(of: Recipe, pictures: Mapping[int, Array], cached: Arrays, box: Array) -> Array:
    """Returns the parts, resized; each is taken at its own scale."""
    squares = jnp.zeros((len(box), of.image_size, of.image_size, 3), jnp.uint8)
    for scale, at_scale in pictures.items():
        part = box[:, 1:]
        resized = _between_pixels(
            at_scale, part, cached[f"rows {scale}"], cached[f"columns {scale}"]
        )
        if min(of.sizes[scale]) >= 2 * of.image_size:
            halves = (part[:, 2:] >= 2 * of.image_size).all(axis=1)
            averaged = _averaged(at_scale, part, of.image_size)
            resized = jnp.where(_each(halves), averaged, resized)
        squares = jnp.where(_each(box[:, 0] == scale), resized.astype(jnp.uint8), squares)
    return squares


def _between_pixels(pictures: Array, part: Array, rows: Array, columns: Array) -> Array:
    """Returns the parts as OpenCV resizes them bilinearly, int32 [batch, size, size, 3].

    Args:
      pictures: uint8 [batch, height, width, 3].
      part: top, left, height and width, in pixels, int32 [batch, 4].
      rows, columns: see `weights`.
    """
    top, left, height, width = part.T[:, :, None]
    _, picture_rows, picture_columns, _ = pictures.shape
    # Of a part of another scale's picture, the numbers may be anything; what comes out is not used.
    above, below, weight_above, weight_below = jnp.moveaxis(rows[height[:, 0] - 1], -1, 0)
    before, after, weight_before, weight_after = jnp.moveaxis(columns[width[:, 0] - 1], -1, 0)
    across = weight_before[..., None] * _one_hot(left + before, picture_columns)
    across += weight_after[..., None] * _one_hot(left + after, picture_columns)
    lines = _product("bwx,byxc->bywc", across, pictures) >> _DROP_FIRST

    def weighed(row: Array, weight: Array) -> Array:
        selected = _product("bhy,bywc->bhwc", _one_hot(top + row, picture_rows), lines)
        return (weight[:, :, None, None] * selected) >> _DROP_SECOND

    total = weighed(above, weight_above) + weighed(below, weight_below)
    return (total + (1 << (_DROP_LAST - 1))) >> _DROP_LAST


def _averaged(pictures: Array, part: Array, size: int) -> Array:
    """Returns the parts, each pixel averaged over the area that it covers, int32 [batch, size, size, 3]."""
    _, rows, columns, _ = pictures.shape

    def shares(start: Array, length: Array, pixels: int) -> Array:
        step = (length / size)[:, None, None]
        begin = start[:, None, None] + step * jnp.arange(size)[:, None]
        place = jnp.arange(pixels)
        overlap = jnp.minimum(begin + step, place + 1) - jnp.maximum(begin, place)
        return jnp.maximum(overlap, 0) / step

    top, left, height, width = part.T
    means = jnp.einsum(
        "bhy,byxc,bwx->bhwc",
        shares(top, height, rows),
        pictures.astype(jnp.float32),
        shares(left, width, columns),
        precision=jax.lax.Precision.HIGHEST,
    )
    # Of four pixels OpenCV rounds a half up, of others to the even number.
    of_four = _each((height == 2 * size) & (width == 2 * size))
    return jnp.where(of_four, jnp.floor(means + 0.5), jnp.rint(means)).astype(jnp.int32)


def _one_hot(places: Array, length: int) -> Array:
    return (places[..., None] == jnp.arange(length)).astype(jnp.int32)


def _product(equation: str, left: Array, right: Array) -> Array:
    """Returns the product of whole numbers, exactly; their sums have to stay below 2^24."""
    product = jnp.einsum(
        equation,
        left.astype(jnp.float32),
        right.astype(jnp.float32),
        precision=jax.lax.Precision.HIGHEST,
    )
    return product.astype(jnp.int32)


def _each(flags: Array) -> Array:
    """Returns flags [batch] in the shape of images."""
    return flags[:, None, None, None]


def _flip(images: Array, numbers: Array) -> Array:
    return jnp.where(_each(numbers[:, 0] == 1), images[:, :, ::-1], images)


def _pad_and_crop(images: Array, numbers: Array, *, fraction: float = 0.125) -> Array:
    size = images.shape[1]
    pad = padding(size, fraction)
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))

    def crop(picture: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(picture, (corner[0], corner[1], 0), (size, size, 3))

    return jax.vmap(crop)(padded, numbers.astype(jnp.int32))


def _shift(images: Array, numbers: Array, **options: float) -> Array:
    """Returns the images, each pixel between the four around the point that it shows, as OpenCV computes it."""
    del options  # they are in the matrices
    batch, size = len(images), images.shape[1]
    matrix = numbers.reshape(batch, 2, 3, 1, 1)
    x, y = jnp.arange(size, dtype=jnp.float32), jnp.arange(size, dtype=jnp.float32)[:, None]
    points = x * matrix[:, :, 0] + (y * matrix[:, :, 1] + matrix[:, :, 2])
    corners = jnp.floor(points)
    right, down = jnp.moveaxis(points - corners, 1, 0)[..., None]
    column, row = jnp.moveaxis(corners.astype(jnp.int32), 1, 0)
    flat = images.reshape(batch, size * size, 3).astype(jnp.float32)

    def at(row: Array, column: Array) -> Array:
        places = jnp.clip(row, 0, size - 1) * size + jnp.clip(column, 0, size - 1)
        return jnp.take_along_axis(flat, places.reshape(batch, -1, 1), axis=1).reshape(images.shape)

    def between(row: Array) -> Array:
        left = at(row, column)
        return left + right * (at(row, column + 1) - left)

    above = between(row)
    return jnp.rint(above + down * (between(row + 1) - above)).astype(jnp.uint8)


# By the names in `augmentation.DRAWS`: (images, what was drawn for each, **options) -> images.
CHANGES: dict[str, Callable[..., Array]] = {
    "flip": _flip,
    "shift": _shift,
    "pad_and_crop": _pad_and_crop,
}


def stored(split: CachedSplit) -> dict[str, np.ndarray]:
    """Returns a split's labels and pictures by the names that `make_examples` knows them by."""
    pictures = {f"pictures {scale}": each for scale, each in split.pictures.items()}
    return {"labels": split.labels} | pictures


def looked_up(
    of: Recipe, stored_arrays: Mapping[str, Any], weight_arrays: Mapping[str, Any]
) -> Arrays:
    """Returns what the step looks up: of `stored` what the recipe needs, and its `weights`."""
    names = ["labels", *(f"pictures {scale}" for scale in of.sizes)]
    return {name: stored_arrays[name] for name in names} | dict(weight_arrays)


def drawn_shapes(of: Recipe, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and types of what `device_cache.DrawnBatches` draws for a batch."""
    drawn = {
        "example": jax.ShapeDtypeStruct((batch_size,), jnp.int32),
        "box": jax.ShapeDtypeStruct((batch_size, 5), jnp.int32),
        "mask": jax.ShapeDtypeStruct((batch_size,), jnp.float32),
    }
    for name, options, key in of.changes:
        count = len(DRAWS[name](of.image_size, np.random.default_rng(0), **options))
        drawn[key] = jax.ShapeDtypeStruct((batch_size, count), jnp.float32)
    return drawn
