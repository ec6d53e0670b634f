"""Random changes of a picture's colors, uint8 [height, width, 3]; results match Pillow's."""

import cv2
import numpy as np
from PIL import Image

from input_pipeline.errors import AugmentationError

_LEVELS = np.arange(256)

# ITU-R 601-2 luma as Pillow rounds it, in 65536ths: float32 holds every such sum exactly, so that adding a half and
# truncating gives Pillow's gray levels.
_LUMA = np.array([[19595, 38470, 7471, 32768]], np.float32) / 65536

# Principal components of the pixels of ImageNet's training set, scaled to 0..1; eigenvectors are columns.
_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
_EIGENVECTORS = np.array(
    [
        [-0.5675, 0.7192, 0.4009],
        [-0.5808, -0.0045, -0.8140],
        [-0.5836, -0.6948, 0.4203],
    ]
)


def color_jitter(
    picture: np.ndarray,
    rng: np.random.Generator,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.0,
) -> np.ndarray:
    """Returns the picture with brightness, contrast, saturation and hue changed, in a random order.

    Howard 2013 (arXiv:1312.5402), section 2; torchvision's `ColorJitter`.

    Args:
      picture: uint8 [height, width, 3].
      rng: draws the order and the four strengths; the picture has no influence.
      brightness: the factor is from [max(0, 1 - brightness), 1 + brightness]; 0 changes nothing, here and below.
      contrast: likewise.
      saturation: likewise.
      hue: the turn is from [-hue, hue], at most 0.5; a full circle is 1.

    Raises:
      AugmentationError: a strength is out of range.
    """
    strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    for name, strength in strengths.items():
        if strength < 0:
            raise AugmentationError(f"color_jitter.{name} is a number from 0, not {strength}")
    if not 0 <= hue <= 0.5:
        raise AugmentationError(f"color_jitter.hue is a number from 0 to 0.5, not {hue}")
    order = rng.permutation(4)
    factors = [rng.uniform(max(0.0, 1 - each), 1 + each) for each in strengths.values()]
    steps = (
        (adjust_brightness, brightness, factors[0]),
        (adjust_contrast, contrast, factors[1]),
        (adjust_saturation, saturation, factors[2]),
        (adjust_hue, hue, rng.uniform(-hue, hue)),
    )
    for adjust, strength, amount in (steps[index] for index in order):
        if strength:
            picture = adjust(picture, amount)
    return picture


def pca_color(
    picture: np.ndarray, rng: np.random.Generator, *, deviation: float = 0.1
) -> np.ndarray:
    """Returns the picture with one random color added to all pixels, along ImageNet's principal components.

    Krizhevsky et al. 2012, section 4.1; the components are those of fb.resnet.torch, which He et al. 2015 trained
    with ("standard color augmentation", section 3.4).

    Args:
      picture: uint8 [height, width, 3].
      rng: draws one number for each component.
      deviation: the standard deviation of these numbers, whose mean is 0.
    """
    offset = _EIGENVECTORS @ (rng.normal(0, deviation, 3) * _EIGENVALUES)
    # Its stubs leave out that OpenCV adds a scalar to each channel.
    return cv2.add(picture, (*np.rint(255 * offset), 0.0))  # type: ignore[call-overload]


def adjust_brightness(picture: np.ndarray, factor: float) -> np.ndarray:
    """Returns black at factor 0, the picture at 1, a brighter one above."""
    return cv2.LUT(picture, _blend_levels(0, factor))


def adjust_contrast(picture: np.ndarray, factor: float) -> np.ndarray:
    """Returns the picture's mean gray at factor 0, the picture at 1, more contrast above."""
    gray = luminance(picture)
    mean = int(cv2.sumElems(gray)[0] / gray.size + 0.5)
    return cv2.LUT(picture, _blend_levels(mean, factor))


def adjust_saturation(picture: np.ndarray, factor: float) -> np.ndarray:
    """Returns the picture in gray at factor 0, the picture at 1, stronger colors above: Pillow's within one level."""
    gray = cv2.cvtColor(luminance(picture), cv2.COLOR_GRAY2RGB)
    # Pillow truncates, OpenCV rounds.
    return cv2.addWeighted(picture, factor, gray, 1 - factor, -0.4999)


def adjust_hue(picture: np.ndarray, turn: float) -> np.ndarray:
    """Returns the picture with its hues moved along the color circle by `turn`, -0.5 to 0.5 of it.

    Hue, saturation and value are rounded to 8 bits on the way, as torchvision does, so even a turn of 0 changes pixels.
    """
    turned = (_LEVELS + int(turn * 255)) % 256
    hsv = Image.fromarray(picture).convert("HSV")
    return np.asarray(hsv.point([*turned, *_LEVELS, *_LEVELS]).convert("RGB"))


def luminance(picture: np.ndarray) -> np.ndarray:
    """Returns the picture's gray levels, uint8 [height, width]: exactly Pillow's conversion to "L"."""
    return cv2.transform(picture.astype(np.float32), _LUMA).astype(np.uint8)


def _blend_levels(base: int, factor: float) -> np.ndarray:
    """Returns the new levels, uint8 [256]: `base` at factor 0, the level itself at 1, rounded as Pillow does."""
    distance = (_LEVELS - base).astype(np.float32)
    return np.clip(base + np.float32(factor) * distance, 0, 255).astype(np.uint8)
