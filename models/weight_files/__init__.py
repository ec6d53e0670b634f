"""Files of weights of other programs, each read by its format's own library into a `Source`.

Nothing in a file is run, and nothing is read from outside it.
"""

from collections.abc import Callable
from pathlib import Path

from models.weight_files import caffe, keras, onnx, tensorflowjs, tflite
from models.weight_files.source import Source, WeightFileError

# What reads a file, by its suffix.
READERS: dict[str, Callable[[Path], Source]] = {
    ".h5": keras.read,
    ".hdf5": keras.read,
    ".keras": keras.read,
    ".tflite": tflite.read,
    ".json": tensorflowjs.read,
    ".onnx": onnx.read,
    ".caffemodel": caffe.read,
}

__all__ = ["READERS", "Source", "WeightFileError"]
