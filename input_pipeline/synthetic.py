"""Pictures made on the fly, the same on every machine, for measuring speed without a dataset."""

import functools
import hashlib
import io
from typing import Any

import numpy as np
from PIL import Image

from isobudget.wording import quoted

VERSION = "1.0.0"
NUM_CLASSES = 1000
SPLIT_SIZES = {"train": 10_240, "validation": 1_024, "test": 1_024}

_HEIGHT, _WIDTH = 375, 500  # the usual size of an ImageNet picture
_NUM_PICTURES = 64  # each is made once, so that reading costs no more than decoding


class SyntheticSource:
    """Examples of one split: a hash of the position gives the label and one of a few pictures."""

    def __init__(self, split: str):
        self._split = split

    def __len__(self) -> int:
        return SPLIT_SIZES[self._split]

    def __getitem__(self, index: int) -> dict[str, Any]:
        digest = hashlib.sha256(f"synthetic:{self._split}:{index}".encode()).digest()
        number = int.from_bytes(digest[:8], "little")
        return {"image": _picture(number % _NUM_PICTURES), "label": number % NUM_CLASSES}

    def describe(self, index: int) -> str:
        return f"example {index} of the synthetic split {quoted(self._split)}"


@functools.cache
def _picture(number: int) -> bytes:
    """Returns a JPEG whose detail, and so whose decoding time, resembles a photograph's."""
    generator = np.random.Philox(key=[0, number])
    coarse = _noise(generator, 12, 16).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    fine = _noise(generator, _HEIGHT // 3, _WIDTH // 3).resize((_WIDTH, _HEIGHT))
    file = io.BytesIO()
    Image.blend(coarse, fine, 0.2).save(file, "JPEG", quality=90)
    return file.getvalue()


def _noise(generator: np.random.Philox, height: int, width: int) -> Image.Image:
    levels = generator.random_raw(height * width * 3) >> np.uint64(56)
    return Image.fromarray(levels.astype(np.uint8).reshape(height, width, 3))
