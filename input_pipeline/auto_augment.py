"""Augmentation policies that draw operations from a list: RandAugment and TrivialAugment, with torchvision's numbers.

An operation is a function of a picture and a magnitude, listed in `OPERATIONS`; a policy gives its weakest and
strongest magnitudes. Geometric operations take the nearest pixel, and black from outside the picture.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from input_pipeline.color import adjust_brightness, adjust_contrast
from input_pipeline.errors import AugmentationError

# Each policy spaces its magnitudes evenly over this many bins.
BINS = 31


class Magnitudes(NamedTuple):
    """The range of magnitudes that a policy gives an operation.

    Attributes:
      weakest: the magnitude in bin 0.
      strongest: the magnitude in the last bin.
      signed: whether the sign is drawn at random.
      whole: whether magnitudes are rounded.
    """

    weakest: float = 0.0
    strongest: float = 0.0
    signed: bool = False
    whole: bool = False

    def at(self, step: int) -> float:
        """Returns the magnitude in bin `step`, in float32 as torchvision has it."""
        span = self.strongest - self.weakest
        magnitude = float(np.float32(self.weakest + span * step / (BINS - 1)))
        return float(round(magnitude)) if self.whole else magnitude


def rand_augment(
    picture: np.ndarray, rng: np.random.Generator, *, layers: int = 2, magnitude: int = 9
) -> np.ndarray:
    """Returns the picture after a few random operations, all at the same strength.

    Cubuk et al. 2019 (arXiv:1909.13719), section 3; torchvision's `RandAugment`.

    Args:
      picture: uint8 [height, width, 3].
      rng: draws the operations and the signs of their magnitudes; the picture has no influence.
      layers: how many operations are drawn, with replacement; N in the paper.
      magnitude: the bin of all their magnitudes, 0 to 30; M in the paper.

    Raises:
      AugmentationError: `magnitude` is no bin, or `layers` is negative.
    """
    if layers < 0:
        raise AugmentationError(f"rand_augment.layers is a whole number from 0, not {layers}")
    if magnitude not in range(BINS):
        raise AugmentationError(
            f"rand_augment.magnitude is a whole number from 0 to {BINS - 1}, not {magnitude}"
        )
    space = rand_augment_space(*picture.shape[:2])
    for _ in range(layers):
        picture = _apply_one(picture, rng, space, magnitude)
    return picture


def trivial_augment(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the picture after one random operation at a random strength.

    Müller and Hutter 2021 (arXiv:2103.10158), section 3 and the space "Wide"; torchvision's `TrivialAugmentWide`.

    Args:
      picture: uint8 [height, width, 3].
      rng: draws the operation, its bin and its sign; the picture has no influence.
    """
    return _apply_one(picture, rng, TRIVIAL_AUGMENT_SPACE, int(rng.integers(BINS)))


def rand_augment_space(height: int, width: int) -> dict[str, Magnitudes]:
    """Returns RandAugment's operations and magnitudes; translations grow with the picture."""
    return {
        "Identity": Magnitudes(),
        "ShearX": Magnitudes(0, 0.3, signed=True),
        "ShearY": Magnitudes(0, 0.3, signed=True),
        "TranslateX": Magnitudes(0, 150 / 331 * width, signed=True),
        "TranslateY": Magnitudes(0, 150 / 331 * height, signed=True),
        "Rotate": Magnitudes(0, 30, signed=True),
        "Brightness": Magnitudes(0, 0.9, signed=True),
        "Color": Magnitudes(0, 0.9, signed=True),
        "Contrast": Magnitudes(0, 0.9, signed=True),
        "Sharpness": Magnitudes(0, 0.9, signed=True),
        "Posterize": Magnitudes(8, 4, whole=True),
        "Solarize": Magnitudes(255, 0),
        "AutoContrast": Magnitudes(),
        "Equalize": Magnitudes(),
    }


TRIVIAL_AUGMENT_SPACE = {
    "Identity": Magnitudes(),
    "ShearX": Magnitudes(0, 0.99, signed=True),
    "ShearY": Magnitudes(0, 0.99, signed=True),
    "TranslateX": Magnitudes(0, 32, signed=True),
    "TranslateY": Magnitudes(0, 32, signed=True),
    "Rotate": Magnitudes(0, 135, signed=True),
    "Brightness": Magnitudes(0, 0.99, signed=True),
    "Color": Magnitudes(0, 0.99, signed=True),
    "Contrast": Magnitudes(0, 0.99, signed=True),
    "Sharpness": Magnitudes(0, 0.99, signed=True),
    "Posterize": Magnitudes(8, 2, whole=True),
    "Solarize": Magnitudes(255, 0),
    "AutoContrast": Magnitudes(),
    "Equalize": Magnitudes(),
}


def _apply_one(
    picture: np.ndarray, rng: np.random.Generator, space: Mapping[str, Magnitudes], step: int
) -> np.ndarray:
    """Returns the picture after one operation of the space, at the magnitude in bin `step`."""
    name = list(space)[rng.integers(len(space))]
    sign = rng.choice((-1.0, 1.0)) if space[name].signed else 1.0
    return OPERATIONS[name](picture, sign * space[name].at(step))


def _identity(picture: np.ndarray, _: float) -> np.ndarray:
    return picture


def _shear_x(picture: np.ndarray, slope: float) -> np.ndarray:
    return _affine(picture, (1, slope, 0, 0, 1, 0))


def _shear_y(picture: np.ndarray, slope: float) -> np.ndarray:
    return _affine(picture, (1, 0, 0, slope, 1, 0))


def _translate_x(picture: np.ndarray, pixels: float) -> np.ndarray:
    return _affine(picture, (1, 0, -int(pixels), 0, 1, 0))


def _translate_y(picture: np.ndarray, pixels: float) -> np.ndarray:
    return _affine(picture, (1, 0, 0, 0, 1, -int(pixels)))


def _affine(picture: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """Returns at (x, y) the pixel at (a x + b y + c, d x + e y + f), for the matrix (a, b, c, d, e, f)."""
    image = Image.fromarray(picture)
    moved = image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=(0, 0, 0)
    )
    return np.asarray(moved)


def _rotate(picture: np.ndarray, degrees: float) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).rotate(degrees, fillcolor=(0, 0, 0)))


def _brightness(picture: np.ndarray, more: float) -> np.ndarray:
    return adjust_brightness(picture, 1 + more)


def _contrast(picture: np.ndarray, more: float) -> np.ndarray:
    return adjust_contrast(picture, 1 + more)


def _color(picture: np.ndarray, more: float) -> np.ndarray:
    # Exactly Pillow's, where `adjust_saturation` is within one level.
    return np.asarray(ImageEnhance.Color(Image.fromarray(picture)).enhance(1 + more))


def _sharpness(picture: np.ndarray, more: float) -> np.ndarray:
    return np.asarray(ImageEnhance.Sharpness(Image.fromarray(picture)).enhance(1 + more))


def _posterize(picture: np.ndarray, bits: float) -> np.ndarray:
    kept = 256 - 2 ** (8 - int(bits))
    return picture & np.uint8(kept)


def _solarize(picture: np.ndarray, threshold: float) -> np.ndarray:
    levels = np.arange(256)
    table = np.where(levels < threshold, levels, 255 - levels)
    return cv2.LUT(picture, table.astype(np.uint8))


def _auto_contrast(picture: np.ndarray, _: float) -> np.ndarray:
    return np.asarray(ImageOps.autocontrast(Image.fromarray(picture)))


def _equalize(picture: np.ndarray, _: float) -> np.ndarray:
    return np.asarray(ImageOps.equalize(Image.fromarray(picture)))


OPERATIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "Identity": _identity,
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
    "Brightness": _brightness,
    "Color": _color,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _auto_contrast,
    "Equalize": _equalize,
}
