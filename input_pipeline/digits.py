"""Scikit-learn's 1,797 scanned digits as a TFDS builder, prepared without TensorFlow or network.

The pictures are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak,
UCI, 1998): 8x8 pixels, 17 grey levels, ten classes.
"""

import contextlib
import fcntl
import functools
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

from input_pipeline.errors import DataError

VERSION = "1.0.0"
SPLIT_SIZES = {"test": 360, "validation": 180, "train": 1257}
_GREY_LEVELS = 16  # the scans count the ink dots in blocks of 4x4, so levels run from 0 to 16


class Digits(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Handwritten digits, 8x8 grey PNG, cut by class into train, validation and test."""

    VERSION = tfds.core.Version(VERSION)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Scikit-learn's scanned handwritten digits.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager  # scikit-learn ships the pictures
        _, labels = _scans()
        return {
            split: self._generate_examples(indices)
            for split, indices in split_indices(labels).items()
        }

    def _generate_examples(self, indices: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        pictures, labels = _scans()
        for index in indices:
            png = io.BytesIO()
            Image.fromarray(pictures[index]).save(png, "PNG")
            yield int(index), {"image": png.getvalue(), "label": int(labels[index])}


@functools.cache
def _scans() -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures uint8 [1797, 8, 8], 0 to 255, and labels int [1797]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = np.rint(bunch.images * (255 / _GREY_LEVELS)).astype(np.uint8)
    return pictures, bunch.target


def split_indices(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the example indices of each split, every class in proportion to within one example.

    Examples of a class are ordered by a hash of their index, which no library's random number
    generator can change, and taken from all classes at the same relative depth.
    """
    depth = np.empty(len(labels))
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label), key=_hash_of_index)
        depth[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = sorted(range(len(labels)), key=lambda index: (depth[index], _hash_of_index(index)))
    ends = np.cumsum(list(SPLIT_SIZES.values()))[:-1]
    return dict(zip(SPLIT_SIZES, np.split(np.array(order), ends), strict=True))


def _hash_of_index(index: int) -> bytes:
    return hashlib.sha256(f"digits:{index}".encode()).digest()


def prepare(data_dir: Path) -> Path:
    """Returns the directory of the prepared dataset, writing it first where it is missing.

    It is written aside and moved into place whole, under a lock that the kernel releases with its
    process: any number of processes may call this at once, and what a killed one left is cleared
    away by the next.

    Raises:
        DataError: `data_dir` cannot be written.
    """
    final = data_dir / "digits" / VERSION
    if _is_complete(final):
        return final
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _lock(data_dir / f".digits-{VERSION}.lock"):
            if not _is_complete(final):
                _write(data_dir, final)
    except OSError as error:
        raise DataError(
            f"cannot write the digits dataset into data_dir {str(data_dir)!r}"
            f" ({error.strerror or error}); name a directory that can be written"
        ) from error
    return final


def _is_complete(directory: Path) -> bool:
    return (directory / "dataset_info.json").is_file()


def _write(data_dir: Path, final: Path) -> None:
    prefix = f".digits-{VERSION}-"
    for debris in data_dir.glob(f"{prefix}*"):
        shutil.rmtree(debris, ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    staging = tempfile.mkdtemp(prefix=prefix, dir=data_dir)
    try:
        builder = Digits(data_dir=staging, file_format="array_record")
        with _quiet():
            builder.download_and_prepare()
        final.parent.mkdir(exist_ok=True)
        os.replace(builder.data_dir, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with open(path, "a") as file:
        # A file system without locks still gets the atomic move, only not the waiting.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS's progress bars and log lines back: this takes a second inside a load."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
