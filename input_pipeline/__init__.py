"""Images to batches: datasets by name, read through TFDS and Grain without TensorFlow.

`datasets.load` finds a dataset, `loader.train_batches` and `loader.eval_batches` turn one of its
splits into batches, and `python -m input_pipeline.prepare` writes a catalogue dataset to disk.
Importing this package is cheap: the heavy libraries load when they are first needed.
"""

from input_pipeline.errors import DataError

__all__ = ["DataError"]
