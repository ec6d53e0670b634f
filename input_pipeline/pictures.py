"""Pictures from anywhere, as evaluation sees them: files, Pillow's images and arrays, in batches read ahead."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline import decoding, passes, resizing
from input_pipeline.errors import DataError
from input_pipeline.folder import SUFFIXES

Picture = str | os.PathLike | Image.Image | np.ndarray


class PictureBatch(NamedTuple):
    """Some pictures.

    `image` is uint8 [batch, size, size, 3] ([batch, 10, size, size, 3] of ten crops), black where there is none;
    `errors` says of each picture why it cannot be read, or None; the batch may be longer.
    """

    image: np.ndarray
    errors: list[str | None]


def find(paths: Sequence[str | os.PathLike]) -> list[Path]:
    """Returns the files named, and for each folder the pictures anywhere below it, sorted; hidden ones are left out.

    Raises:
      DataError: a folder holds no pictures.
    """
    found = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        below = [child for child in sorted(path.rglob("*")) if _is_picture(child, path)]
        if not below:
            raise DataError(
                f"folder {str(path)!r} holds no pictures ({' '.join(sorted(SUFFIXES))})"
            )
        found += below
    return found


def _is_picture(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def read(picture: Picture) -> np.ndarray:
    """Returns a picture as RGB uint8 [height, width, 3].

    Args:
      picture: a file's path; an image of Pillow's; or an array uint8 [height, width, 3], or [height, width] of grey.

    Raises:
      DataError: it is no picture, or an array of another kind; the message says which.
    """
    if isinstance(picture, np.ndarray):
        return _checked(picture)
    if isinstance(picture, Image.Image):
        try:
            return decoding.to_rgb(picture)
        except OSError as error:  # Pillow reads a file when its pixels are asked for
            raise DataError(f"the picture cannot be decoded ({error})") from error
    path = Path(picture)
    try:
        return decoding.decode(path.read_bytes(), lambda: str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error


def _checked(array: np.ndarray) -> np.ndarray:
    grey = array.ndim == 2
    if (
        array.dtype != np.uint8
        or not (grey or (array.ndim == 3 and array.shape[2] == 3))
        or not array.size
    ):
        raise DataError(
            f"a picture is uint8 [height, width, 3] or [height, width], not {array.dtype} {list(array.shape)}"
        )
    return np.repeat(array[..., None], 3, axis=2) if grey else array


def batches(
    pictures: Sequence[Picture],
    *,
    batch_size: int,
    image_size: int,
    crop_fraction: float = 1.0,
    interpolation: str = "bilinear",
    crops: int = 1,
) -> Iterator[PictureBatch]:
    """Yields the pictures in order, as `loader.eval_batches` would show them, read ahead by threads.

    Args:
      pictures: as `read` takes them.
      batch_size: pictures in a batch; the last one is filled up with black ones.
      image_size: height and width, in pixels.
      crop_fraction: the part of the shorter side that is seen, see `resizing.evaluation_boxes`.
      interpolation: of the resizing, a name in `resizing.INTERPOLATIONS`.
      crops: 1, or 10, see `resizing.ten_crops`.
    """
    see = functools.partial(
        resizing.evaluate_picture if crops == 1 else resizing.ten_crops,
        image_size=image_size,
        crop_fraction=crop_fraction,
        interpolation=interpolation,
    )
    shape = (*((crops,) if crops > 1 else ()), image_size, image_size, 3)

    def make(first: int) -> PictureBatch:
        return _batch(pictures[first : first + batch_size], batch_size, shape, see)

    yield from passes.in_threads(make, range(0, len(pictures), batch_size))


def _batch(
    pictures: Sequence[Picture],
    batch_size: int,
    shape: tuple[int, ...],
    see: Callable[[np.ndarray], np.ndarray],
) -> PictureBatch:
    images = np.zeros((batch_size, *shape), np.uint8)
    errors: list[str | None] = []
    for row, picture in enumerate(pictures):
        try:
            images[row] = see(read(picture))
            errors.append(None)
        except DataError as error:
            errors.append(str(error))
    return PictureBatch(images, errors)
