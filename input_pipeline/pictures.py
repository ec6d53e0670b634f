"""Reads files, Pillow images and arrays as evaluation sees them, in batches and ahead of time."""

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline import decoding, folder, passes, resizing
from input_pipeline.errors import DataError
from input_pipeline.names import printable

Picture = str | os.PathLike[str] | Image.Image | np.ndarray


class PictureBatch(NamedTuple):
    """A batch of pictures.

    `image` is uint8 [batch, size, size, 3] ([batch, 10, size, size, 3] of ten crops), black where there is no
    picture. `errors` has for each picture why it cannot be read, or None; it may be shorter than the batch.
    """

    image: np.ndarray
    errors: list[str | None]


def find(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Returns the given files, and for each folder all pictures below it, sorted, without hidden ones.

    How many other files a folder has is said on standard error.

    Raises:
      DataError: there are no pictures in a folder, or it cannot be read.
    """
    files = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        listing = folder.files_below(path)
        passed_over = folder.passed_over(listing.others)
        if not listing.pictures:
            raise DataError(
                f"folder '{printable(path)}' holds no pictures ({folder.PICTURES})"
                f"{passed_over and '; '}{passed_over}"
            )
        if passed_over:
            print(f"{printable(path)}: {passed_over}", file=sys.stderr, flush=True)
        files += sorted(path / name for name in listing.pictures)
    return files


def read(picture: Picture, max_pixels: int = decoding.MAX_PIXELS) -> np.ndarray:
    """Returns a picture as RGB uint8 [height, width, 3].

    Args:
      picture: the path of a file, a Pillow image, or an array: uint8 [height, width, 3], or gray [height, width].
      max_pixels: a file or Pillow image with more is not decoded.

    Raises:
      DataError: it is not a picture, has too many pixels, or is an array of another shape or dtype.
    """
    if isinstance(picture, np.ndarray):
        return _checked(picture)
    if isinstance(picture, Image.Image):
        # Pillow reads a file only when its pixels are needed.
        with decoding.naming(lambda: printable(getattr(picture, "filename", "")) or "the picture"):
            return decoding.to_rgb(picture, max_pixels)
    path = Path(picture)
    try:
        return decoding.decode(path.read_bytes(), lambda: printable(path), max_pixels)
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read ({error.strerror or error})") from error


def _checked(array: np.ndarray) -> np.ndarray:
    gray = array.ndim == 2
    if (
        array.dtype != np.uint8
        or not (gray or (array.ndim == 3 and array.shape[2] == 3))
        or not array.size
    ):
        raise DataError(
            f"a picture is uint8 [height, width, 3] or [height, width], not {array.dtype} {list(array.shape)}"
        )
    return np.repeat(array[..., None], 3, axis=2) if gray else array


def batches(
    pictures: Sequence[Picture],
    *,
    batch_size: int,
    image_size: int,
    crop_fraction: float = 1.0,
    interpolation: str = "bilinear",
    crops: int = 1,
    max_pixels: int = decoding.MAX_PIXELS,
) -> Iterator[PictureBatch]:
    """Yields the pictures in order, as `loader.eval_batches` would, read ahead by threads.

    Args:
      pictures: as `read` takes them.
      batch_size: the number of pictures in a batch; black ones fill up the last batch.
      image_size: the height and width, in pixels.
      crop_fraction: the share of the shorter side that is seen, see `resizing.evaluation_boxes`.
      interpolation: how pictures are resized, a name in `resizing.INTERPOLATIONS`.
      crops: 1, or 10, see `resizing.ten_crops`.
      max_pixels: as for `read`.
    """
    resize = functools.partial(
        resizing.evaluate_picture if crops == 1 else resizing.ten_crops,
        image_size=image_size,
        crop_fraction=crop_fraction,
        interpolation=interpolation,
    )
    shape = (*((crops,) if crops > 1 else ()), image_size, image_size, 3)

    def see(picture: Picture) -> np.ndarray:
        return resize(read(picture, max_pixels))

    def make(first: int) -> PictureBatch:
        return _batch(pictures[first : first + batch_size], batch_size, shape, see)

    yield from passes.in_threads(make, range(0, len(pictures), batch_size))


def _batch(
    pictures: Sequence[Picture],
    batch_size: int,
    shape: tuple[int, ...],
    see: Callable[[Picture], np.ndarray],
) -> PictureBatch:
    images = np.zeros((batch_size, *shape), np.uint8)
    errors: list[str | None] = []
    for row, picture in enumerate(pictures):
        try:
            images[row] = see(picture)
            errors.append(None)
        except DataError as error:
            errors.append(str(error))
    return PictureBatch(images, errors)
