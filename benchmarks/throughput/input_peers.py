"""Other libraries that users read ImageNet with, set to do the same: random resized crop and flip, uint8 batches.

Neither library is a dependency: they are measured where they are installed.
"""

import atexit
import importlib.util
import io
import math
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.errors import ConfigError
from input_pipeline.datasets import Dataset
from isobudget.wording import shown

Reader = tuple[str, int, Callable[[], Iterator]]


def readers(
    peer: str, dataset: Dataset, split: str, image_size: int, batch_size: int
) -> list[Reader]:
    """Returns (name, worker processes, maker of an endless iterator over batches) of each way to use a peer.

    Raises:
      ConfigError: no such peer, or it is not installed.
    """
    if peer not in _PEERS:
        raise ConfigError(f"a peer is one of {', '.join(_PEERS)}, not {shown(peer)}.")
    package, make = _PEERS[peer]
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"comparing with {peer} needs {package}; run pip install {package}")
    source = dataset.source(split)
    encoded = [source[index]["image"] for index in range(len(source))]
    return make(encoded, image_size, batch_size)


def _tf_data(encoded: list[bytes], image_size: int, batch_size: int) -> list[Reader]:
    """Returns tf.data over TFRecord files, with `decode_and_crop_jpeg` as in TensorFlow's official ResNet."""
    import tensorflow as tf

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = str(folder / "pictures.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for picture in encoded:
            writer.write(picture)

    def part(rows, columns):
        """torchvision's crop: `sample_distorted_bounding_box` would draw smaller ones."""
        rows, columns = tf.cast(rows, tf.float32), tf.cast(columns, tf.float32)
        area = rows * columns * tf.random.uniform([10], 0.08, 1.0)
        ratio = tf.exp(tf.random.uniform([10], math.log(3 / 4), math.log(4 / 3)))
        width, height = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))
        fits = (width <= columns) & (height <= rows)
        first = tf.argmax(fits)
        width = tf.where(tf.reduce_any(fits), width[first], columns)
        height = tf.where(tf.reduce_any(fits), height[first], rows)
        top = tf.floor(tf.random.uniform([]) * (rows - height + 1))
        left = tf.floor(tf.random.uniform([]) * (columns - width + 1))
        return tf.cast(tf.stack([top, left, height, width]), tf.int32)

    def see(data):
        shape = tf.image.extract_jpeg_shape(data)
        window = part(shape[0], shape[1])
        picture = tf.image.decode_and_crop_jpeg(data, window, channels=3)
        picture = tf.image.resize([picture], [image_size, image_size])[0]
        picture = tf.image.random_flip_left_right(picture)
        return tf.cast(picture, tf.uint8)

    def make() -> Iterator:
        batches = (
            tf.data.TFRecordDataset(path)
            .cache()
            .repeat()
            .shuffle(len(encoded))
            .map(see, num_parallel_calls=tf.data.AUTOTUNE)
            .batch(batch_size, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )
        return batches.as_numpy_iterator()

    return [("tf.data", 0, make)]


class _TorchPictures:
    """What torchvision's RandomResizedCrop and RandomHorizontalFlip do to a Pillow image."""

    def __init__(self, encoded: list[bytes], image_size: int):
        self._encoded = encoded
        self._size = image_size

    def __len__(self) -> int:
        return 10**7

    def __getitem__(self, index: int) -> np.ndarray:
        with Image.open(io.BytesIO(self._encoded[index % len(self._encoded)])) as file:
            picture = file.convert("RGB")
        picture = picture.crop(self._part(*picture.size))
        picture = picture.resize((self._size, self._size), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(picture)

    def _part(self, columns: int, rows: int) -> tuple[int, int, int, int]:
        for _ in range(10):
            area = rows * columns * random.uniform(0.08, 1)
            ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= columns and 0 < height <= rows:
                left, top = random.randint(0, columns - width), random.randint(0, rows - height)
                return left, top, left + width, top + height
        return 0, 0, columns, rows


def _torch(encoded: list[bytes], image_size: int, batch_size: int) -> list[Reader]:
    """Returns PyTorch's DataLoader over Pillow, with a worker process for each core, as in its ImageNet example."""
    from torch.utils.data import DataLoader

    workers = len(os.sched_getaffinity(0))

    def make() -> Iterator:
        pictures = _TorchPictures(encoded, image_size)
        return iter(DataLoader(pictures, batch_size, shuffle=False, num_workers=workers))

    return [("PyTorch DataLoader", workers, make)]


_PEERS = {"tf_data": ("tensorflow", _tf_data), "torch": ("torch", _torch)}
