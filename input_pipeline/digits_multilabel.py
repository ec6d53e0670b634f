"""Pictures of one to four scanned digits each as a TFDS builder; the labels are the digits that occur.

Each is a grid of 2x2 places of 8x8 pixels, of which one to four hold a scan of `digits` and the
others are empty. The pictures of a split are composed of scans from the same split of `digits`, so that
no two splits share a scan. How many scans, which and where come from a hash of the picture's number,
which does not depend on any library's random numbers.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from input_pipeline import digits
from input_pipeline.builders import register_dataset

VERSION = "1.0.0"
SPLIT_SIZES = {"test": 1000, "validation": 500, "train": 4000}
_PLACES = ((0, 0), (0, 8), (8, 0), (8, 8))
_SIDE = 16


class Composition(NamedTuple):
    """What a picture is made of: scans, by their index in `digits.scans()`, and the place of each."""

    scans: tuple[int, ...]
    places: tuple[int, ...]


@register_dataset("digits_multilabel")
class DigitsMultilabel(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # TFDS has no types
    """One to four handwritten digits in each picture, 16x16 gray PNG."""

    VERSION = tfds.core.Version(VERSION)

    def _info(self) -> tfds.core.DatasetInfo:
        classes = tfds.features.ClassLabel(names=[str(digit) for digit in range(10)])
        return tfds.core.DatasetInfo(
            builder=self,
            description="Pictures of one to four of scikit-learn's scanned handwritten digits.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(_SIDE, _SIDE, 1), encoding_format="png"),
                    "labels": tfds.features.Sequence(classes),
                }
            ),
            supervised_keys=("image", "labels"),
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager  # scikit-learn ships the scans
        return {split: self._generate_examples(split) for split in SPLIT_SIZES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        _, labels = digits.scans()
        for number, composition in enumerate(compositions(split)):
            classes = sorted({int(labels[scan]) for scan in composition.scans})
            yield number, {"image": digits.png(compose(composition)), "labels": classes}


def compositions(split: str) -> list[Composition]:
    """Returns what each picture of a split is made of."""
    _, labels = digits.scans()
    scans = digits.split_indices(labels)[split]
    return [_composition(split, number, scans) for number in range(SPLIT_SIZES[split])]


def _composition(split: str, number: int, scans: np.ndarray) -> Composition:
    digest = hashlib.sha256(f"digits_multilabel:{split}:{number}".encode()).digest()
    count = 1 + digest[0] % len(_PLACES)
    places = sorted(range(len(_PLACES)), key=lambda place: digest[1 + place])[:count]
    draws = (int.from_bytes(digest[8 + 4 * each : 12 + 4 * each]) for each in range(count))
    return Composition(tuple(int(scans[draw % len(scans)]) for draw in draws), tuple(places))


def compose(composition: Composition) -> np.ndarray:
    """Returns the picture, uint8 [16, 16]."""
    pictures, _ = digits.scans()
    canvas = np.zeros((_SIDE, _SIDE), np.uint8)
    for scan, place in zip(*composition, strict=True):
        row, column = _PLACES[place]
        canvas[row : row + 8, column : column + 8] = pictures[scan]
    return canvas
