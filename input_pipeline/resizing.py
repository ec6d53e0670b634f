"""Parts of pictures to squares of a given size: exactly as published accuracies were measured, or fast."""

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
    """A part of a picture, in pixels of it."""

    top: float
    left: float
    height: float
    width: float

    def scaled(self, vertical: float, horizontal: float) -> "Box":
        """Returns the same part of the picture resized by these factors."""
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

    torchvision and timm evaluate with it, so published accuracies hold for it.

    Args:
      picture: uint8 [rows, columns, 3].
      box: the part to take; pixels around it count at its edges.
      height: of the result, in pixels.
      width: of the result, in pixels.
      interpolation: a name in `INTERPOLATIONS`.

    Raises:
      DataError: no such interpolation.
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
    """Returns the box, moved to whole pixels, resized to [size, size, 3]: for training, where it is drawn by chance.

    Bilinear, as TensorFlow resizes, which is not antialiased; from half the size down it averages, so that detail never
    turns into noise.

    Args:
      picture: uint8 [rows, columns, 3].
      box: the part to take.
      size: height and width of the result, in pixels.
      out: memory for the result, which may be left unused.
    """
    rows, columns, _ = picture.shape
    top, left = min(rows - 1, round(box.top)), min(columns - 1, round(box.left))
    bottom = min(rows, max(top + 1, round(box.top + box.height)))
    right = min(columns, max(left + 1, round(box.left + box.width)))
    part = picture[top:bottom, left:right]
    if part.shape[:2] == (size, size):
        return part
    halves = bottom - top >= 2 * size and right - left >= 2 * size
    method = cv2.INTER_AREA if halves else cv2.INTER_LINEAR
    return cv2.resize(part, (size, size), dst=out, interpolation=method)


def evaluation_boxes(
    rows: int, columns: int, image_size: int, crop_fraction: float, crops: int
) -> list[Box]:
    """Returns the parts of a picture that are seen in evaluation, each to be resized to a square of `image_size`.

    The shorter side is resized to `image_size / crop_fraction`, rounded down as torchvision and timm do, and squares
    of `image_size` are cut out: 224 and 0.875 give "resize to 256, crop 224".

    Args:
      rows: of the picture.
      columns: of the picture.
      image_size: height and width of the result, in pixels.
      crop_fraction: the part of the shorter side that is seen.
      crops: 1 for the centre; 5 for the four corners and the centre.
    """
    # A fraction such as 224 / 232 is a rounding error off; a whole number is meant.
    shorter = max(image_size, math.floor(image_size / crop_fraction + 1e-6))
    height = shorter * rows // min(rows, columns)
    width = shorter * columns // min(rows, columns)
    centre = (round((height - image_size) / 2), round((width - image_size) / 2))
    ends = (height - image_size, width - image_size)
    corners = [(0, 0), (0, ends[1]), (ends[0], 0), ends]
    places = [centre] if crops == 1 else [*corners, centre]
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
    """Returns the centre of a picture as evaluation sees it, uint8 [image_size, image_size, 3].

    Resizing and cutting are one step: what lies outside is never made.
    """
    (box,) = evaluation_boxes(*picture.shape[:2], image_size, crop_fraction, 1)
    return resize_exactly(picture, box, image_size, image_size, interpolation)


def ten_crops(
    picture: np.ndarray,
    image_size: int,
    crop_fraction: float = 0.875,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Returns the four corners and the centre, then their mirror images, uint8 [10, image_size, image_size, 3].

    What AlexNet and later papers average their predictions over (Krizhevsky et al. 2012, section 4.1).
    """
    boxes = evaluation_boxes(*picture.shape[:2], image_size, crop_fraction, 5)
    crops = [resize_exactly(picture, box, image_size, image_size, interpolation) for box in boxes]
    return np.stack([*crops, *(crop[:, ::-1] for crop in crops)])
