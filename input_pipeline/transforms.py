"""What the host does to each picture: resize, crop, flip and shift; uint8 in, uint8 out.

An augmentation is a function of a picture, the wanted size and a random generator, entered in
`AUGMENTATIONS` under the name that configurations use.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from input_pipeline.errors import unknown_name

# Grain's threads already use every core, each on its own picture.
cv2.setNumThreads(0)

Augmentation = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the source


def resize(picture: np.ndarray, height: int, width: int, box: Box | None = None) -> np.ndarray:
    """Returns `box` of the picture resized bilinearly, antialiased where it shrinks.

    Args:
        picture: uint8 [height, width, 3].
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        box: The part to take, all of the picture unless given.
    """
    rows, columns, _ = picture.shape
    left, top, right, bottom = box or (0, 0, columns, rows)
    whole = (left, top, right, bottom) == (0, 0, columns, rows)
    if whole and (rows, columns) == (height, width):
        return picture
    if whole and height >= rows and width >= columns:
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    # Pillow widens its filter by the scale, which is the antialiasing that published accuracies
    # were measured with. OpenCV has nothing equal to it.
    resized = Image.fromarray(picture).resize(
        (width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    return np.asarray(resized)


def evaluation(picture: np.ndarray, image_size: int, crop_fraction: float = 1.0) -> np.ndarray:
    """Returns the centre of the picture, uint8 [image_size, image_size, 3].

    The shorter side is resized to `image_size / crop_fraction` and the centre square cut out, in
    one step: 224 and 0.875 give the usual "resize to 256, crop 224".
    """
    rows, columns, _ = picture.shape
    shorter = max(image_size, round(image_size / crop_fraction))
    height = shorter * rows // min(rows, columns)
    width = shorter * columns // min(rows, columns)
    top, left = round((height - image_size) / 2), round((width - image_size) / 2)
    box = (
        left * columns / width,
        top * rows / height,
        (left + image_size) * columns / width,
        (top + image_size) * rows / height,
    )
    return resize(picture, image_size, image_size, box)


def none(picture: np.ndarray, image_size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the whole centre square, unchanged by chance."""
    del rng
    return evaluation(picture, image_size)


def shift(picture: np.ndarray, image_size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the picture moved by up to a tenth, turned by up to 10 degrees, zoomed by 10%.

    For pictures whose sides mean something, such as digits: nothing is flipped. What comes in
    from outside repeats the edge.
    """
    picture = evaluation(picture, image_size)
    right, down, turn, zoom = rng.uniform(-1, 1, 4)
    angle, scale = math.radians(10 * turn), 1.1**zoom
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    centre = (image_size - 1) / 2
    matrix = np.array(
        [
            [cos, sin, centre * (1 - cos - sin) + 0.1 * image_size * right],
            [-sin, cos, centre * (1 + sin - cos) + 0.1 * image_size * down],
        ]
    )
    return cv2.warpAffine(
        picture,
        matrix,
        (image_size, image_size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def crop_flip(picture: np.ndarray, image_size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a random part resized to a square, mirrored every other time.

    The part has 8 to 100% of the area and sides in a ratio from 3/4 to 4/3, as in torchvision's
    `RandomResizedCrop` (Szegedy et al. 2014, section 6).
    """
    top, left, height, width = _random_part(picture.shape[0], picture.shape[1], rng)
    part = picture[top : top + height, left : left + width]
    return _random_flip(resize(part, image_size, image_size), rng)


def _random_part(rows: int, columns: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Returns top, left, height and width; the centre where ten draws do not fit the picture."""
    smallest, largest = 3 / 4, 4 / 3
    for _ in range(10):
        area = rows * columns * rng.uniform(0.08, 1)
        ratio = math.exp(rng.uniform(math.log(smallest), math.log(largest)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= columns and 0 < height <= rows:
            top = int(rng.integers(rows - height + 1))
            left = int(rng.integers(columns - width + 1))
            return top, left, height, width
    height = min(rows, max(1, round(columns / smallest)))
    width = min(columns, max(1, round(rows * largest)))
    return (rows - height) // 2, (columns - width) // 2, height, width


def pad_crop_flip(picture: np.ndarray, image_size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the centre square moved by up to an eighth over black, mirrored every other time.

    At 32 pixels this is CIFAR's usual padding by 4 (He et al. 2015, section 4.2).
    """
    picture = evaluation(picture, image_size)
    pad = image_size // 8
    padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)))
    top, left = rng.integers(2 * pad + 1, size=2)
    return _random_flip(padded[top : top + image_size, left : left + image_size], rng)


def _random_flip(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return picture[:, ::-1] if rng.random() < 0.5 else picture


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": none,
    "shift": shift,
    "crop_flip": crop_flip,
    "pad_crop_flip": pad_crop_flip,
}


def augmentation(name: str) -> Augmentation:
    """Returns the augmentation of that name.

    Raises:
        DataError: There is none of that name; the message lists them.
    """
    if name not in AUGMENTATIONS:
        raise unknown_name("augmentation", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]
