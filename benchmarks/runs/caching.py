"""Reads the splits that a run keeps decoded on the devices (`config.cache`), if they fit."""

import contextlib
import dataclasses
from collections.abc import Iterator

import jax
import numpy as np

from benchmarks.config.fields import DEVICE_CACHE
from benchmarks.errors import ConfigError
from benchmarks.machine import memory
from benchmarks.runs import finished_training
from benchmarks.runs.plan import Run
from benchmarks.runs.record import finished_record
from input_pipeline import device_cache
from input_pipeline.errors import DataError

# The rest of a device's memory is the training's.
_LARGEST_SHARE = 0.5


def with_cached_split(run: Run) -> Run:
    """Returns the run with its training split decoded in the host's memory, if its configuration says so.

    A run whose training is over is returned as it is.

    Raises:
      ConfigError: the splits do not fit on the devices, or the pictures of the training split differ in size.
    """
    config, dataset = run.config, run.dataset
    is_trained = finished_record(run.workdir) or finished_training.find(run.workdir)
    if config.cache != DEVICE_CACHE or is_trained:
        return run
    with _naming_the_field():
        split = device_cache.read(
            dataset.source(config.train_split),
            label_shape=dataset.label_shape,
            image_sizes=run.setup.train_sizes,
            max_pixels=config.max_pixels,
            check_bytes=lambda needed: _check_memory(needed + _validation_bytes(run)),
        )
    return dataclasses.replace(run, cached=split)


def check(run: Run) -> None:
    """Checks what can be checked of the pictures that a run keeps on the devices without touching one.

    Raises:
      ConfigError: the pictures of the training split differ in size.
    """
    if run.config.cache != DEVICE_CACHE:
        return
    with _naming_the_field():
        source = run.dataset.source(run.config.train_split)
        device_cache.check_sizes(source, run.config.max_pixels)


def keeps_validation(run: Run) -> bool:
    """Returns whether the validation split is kept on the devices: it is if training reads it again and again."""
    return run.config.cache == DEVICE_CACHE and run.config.validate_every_steps > 0


@contextlib.contextmanager
def _naming_the_field() -> Iterator[None]:
    """Says of what is wrong with a dataset which field it is wrong for."""
    try:
        yield
    except DataError as error:
        raise ConfigError(f"config.cache=device cannot be had: {error}.") from error


def _validation_bytes(run: Run) -> int:
    """Returns the memory that the validation split takes on each device, as evaluation sees it."""
    if not keeps_validation(run):
        return 0
    config, side = run.config, run.setup.eval_image_size
    numbers = int(np.prod(run.dataset.label_shape)) + 1
    of_each = config.eval_crops * side * side * 3 + 4 * numbers
    examples = run.dataset.num_examples(config.validation_split)
    return -(-examples // jax.device_count()) * of_each


def _check_memory(needed: int) -> None:
    """Checks that splits of this many bytes on each device leave enough for training.

    Raises:
      ConfigError: they do not.
    """
    limit = memory.device_bytes()
    if limit is not None and needed > _LARGEST_SHARE * limit:
        raise ConfigError(
            f"config.cache=device needs {needed / 1e6:,.1f} MB on each device, more than half of its"
            f" {limit / 1e6:,.1f} MB; without it, pictures are read from the disk as they are needed."
        )
