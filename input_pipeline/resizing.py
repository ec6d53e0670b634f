"""Resizes parts of pictures to squares: exactly as published accuracies were measured, or fast."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from input_pipeline.errors import unknown_name

# Grain's threads already use every core, each on its own picture.
cv2.setNumThreads(0)

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Box(NamedTuple):
    """A part of a picture, in pixels."""

    top: float
    left: float
    height: float
    width: float

    def scaled(self, vertical: float, horizontal: float) -> "Box":
        """Returns the same part after the picture is resized by these factors."""
        return Box(
            self.top * vertical,
            self.left * horizontal,
            self.height * vertical,
            self.width * horizontal,
        )


def resize_exactly(
    picture: np.ndarray, box: Box, height: int, width: int, interpolation: str = "bilinear"
) -> np.ndarray:
    """Returns the box resized as Pillow resizes: with a filter that widens as the picture shrinks (antialiasing).

    torchvision and timm evaluate this way, so published accuracies apply.

    Args:
      picture: uint8 [rows, columns, 3].
      box: the part to take; pixels around it count along its edges.
      height: the height of the result, in pixels.
      width: the width of the result, in pixels.
      interpolation: a name in `INTERPOLATIONS`.

    Raises:
      DataError: the interpolation is unknown.
    """
    if interpolation not in INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
    rows, columns, _ = picture.shape
    whole = box == (0, 0, rows, columns)
    if whole and (rows, columns) == (height, width):
        return picture
    if whole and interpolation == "bilinear" and height >= rows and width >= columns:
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    corners = (box.left, box.top, box.left + box.width, box.top + box.height)
    resized = Image.fromarray(picture).resize(
        (width, height), INTERPOLATIONS[interpolation], box=corners
    )
    return np.asarray(resized)


def resize_fast(
    picture: np.ndarray, box: Box, size: int, out: np.ndarray | None = None
) -> np.ndarray:
    """Returns the box, rounded to whole pixels, resized to [size, size, 3]: for training, where boxes are random.

    Bilinear without antialiasing, as TensorFlow resizes; to half the size or less it averages, so that detail does not
    turn into noise.

    Args:
      picture: uint8 [rows, columns, 3].
      box: the part to take.
      size: the height and width of the result, in pixels.
      out: memory that may be used for the result.
    """
    top, left, height, width = whole_pixels(box, *picture.shape[:2])
    part = picture[top : top + height, left : left + width]
    if part.shape[:2] == (size, size):
        return part
    halves = height >= 2 * size and width >= 2 * size
    method = cv2.INTER_AREA if halves else cv2.INTER_LINEAR
    return cv2.resize(part, (size, size), dst=out, interpolation=method)


def whole_pixels(box: Box, rows: int, columns: int) -> tuple[int, int, int, int]:
    """Returns (top, left, height, width) of the box in whole pixels, at least one each way, inside the picture."""
    top, left = min(rows - 1, round(box.top)), min(columns - 1, round(box.left))
    bottom = min(rows, max(top + 1, round(box.top + box.height)))
    right = min(columns, max(left + 1, round(box.left + box.width)))
    return top, left, bottom - top, right - left


def evaluation_boxes(
    rows: int, columns: int, image_size: int, crop_fraction: float, crops: int
) -> list[Box]:
    """Returns the parts of a picture that evaluation sees, each to be resized to a square of `image_size`.

    The shorter side is resized to `image_size / crop_fraction`, rounded down as torchvision and timm do, and squares
    of `image_size` are cut out: 224 and 0.875 give "resize to 256, crop 224".

    Args:
      rows: the height of the picture.
      columns: the width of the picture.
      image_size: the height and width of the result, in pixels.
      crop_fraction: the share of the shorter side that is seen.
      crops: 1 for the center; 5 for the four corners and the center.
    """
    # A fraction such as 224 / 232 has a rounding error; a whole number is meant.
    shorter = max(image_size, math.floor(image_size / crop_fraction + 1e-6))
    height = shorter * rows // min(rows, columns)
    width = shorter * columns // min(rows, columns)
    center = (round((height - image_size) / 2), round((width - image_size) / 2))
    ends = (height - image_size, width - image_size)
    corners = [(0, 0), (0, ends[1]), (ends[0], 0), ends]
    places = [center] if crops == 1 else [*corners, center]
    vertical, horizontal = rows / height, columns / width
    return [
        Box(top, left, image_size, image_size).scaled(vertical, horizontal) for top, left in places
    ]


def evaluate_picture(
    picture: np.ndarray,
    image_size: int,
    crop_fraction: float = 1.0,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Returns the center of a picture as evaluation sees it, uint8 [image_size, image_size, 3].

    Resizing and cropping are one step: pixels outside the crop are never computed.
    """
    rows, columns, _ = picture.shape
    (box,) = evaluation_boxes(rows, columns, image_size, crop_fraction, 1)
    return resize_exactly(picture, box, image_size, image_size, interpolation)


def ten_crops(
    picture: np.ndarray,
    image_size: int,
    crop_fraction: float = 0.875,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Returns the four corners and the center, then their mirror images, uint8 [10, image_size, image_size, 3].

    AlexNet and later papers average their predictions over them (Krizhevsky et al. 2012, section 4.1).
    """
    rows, columns, _ = picture.shape
    boxes = evaluation_boxes(rows, columns, image_size, crop_fraction, 5)
    crops = [resize_exactly(picture, box, image_size, image_size, interpolation) for box in boxes]
    return np.stack([*crops, *(crop[:, ::-1] for crop in crops)])
