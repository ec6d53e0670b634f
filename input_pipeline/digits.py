"""Scikit-learn's 1,797 scanned digits as a TFDS builder, prepared without TensorFlow or network.

The pictures are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak,
UCI, 1998): 8x8 pixels, 17 gray levels, ten classes.
"""

import functools
import hashlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from input_pipeline.builders import register_dataset

VERSION = "1.0.0"
SPLIT_SIZES = {"test": 360, "validation": 180, "train": 1257}
_GRAY_LEVELS = 16  # the scans count the ink dots in blocks of 4x4, so levels run from 0 to 16


@register_dataset("digits")
class Digits(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # TFDS has no types
    """Handwritten digits, 8x8 gray PNG, split by class into train, validation and test."""

    VERSION = tfds.core.Version(VERSION)
    DIGITS = range(10)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Scikit-learn's scanned handwritten digits.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list(map(str, self.DIGITS))),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager  # scikit-learn ships the pictures
        _, labels = scans()
        return {
            split: self._generate_examples(indices[np.isin(labels[indices], self.DIGITS)])
            for split, indices in split_indices(labels).items()
        }

    def _generate_examples(self, indices: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        pictures, labels = scans()
        for index in indices:
            yield (
                int(index),
                {"image": png(pictures[index]), "label": self.DIGITS.index(labels[index])},
            )


@register_dataset("digits_low")
class DigitsLow(Digits, skip_registration=True):  # type: ignore[call-arg]  # TFDS has no types
    """The digits 0 to 4: half of the classes, to learn features from."""

    DIGITS = range(5)


@register_dataset("digits_high")
class DigitsHigh(Digits, skip_registration=True):  # type: ignore[call-arg]  # TFDS has no types
    """The digits 5 to 9: the other half, to use those features for."""

    DIGITS = range(5, 10)


def png(picture: np.ndarray) -> bytes:
    """Returns a gray picture, uint8 [height, width], as PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@functools.cache
def scans() -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures uint8 [1797, 8, 8], 0 to 255, and labels int [1797], the same arrays each time."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = np.rint(bunch.images * (255 / _GRAY_LEVELS)).astype(np.uint8)
    return pictures, bunch.target


def split_indices(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the example indices of each split, with each class in proportion to within one example.

    The examples of a class are ordered by a hash of their index, which does not depend on any
    library's random numbers, and taken from all classes at the same relative depth.
    """
    depth = np.empty(len(labels))
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label), key=_hash_of_index)
        depth[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = sorted(range(len(labels)), key=lambda index: (depth[index], _hash_of_index(index)))
    ends = np.cumsum(list(SPLIT_SIZES.values()))[:-1]
    return dict(zip(SPLIT_SIZES, np.split(np.array(order), ends), strict=True))


def _hash_of_index(index: int | np.integer) -> bytes:
    return hashlib.sha256(f"digits:{index}".encode()).digest()
