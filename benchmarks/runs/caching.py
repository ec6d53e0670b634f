"""Reads the splits that a run keeps decoded on the devices (`config.cache`), if they fit."""

import contextlib
import dataclasses
from collections.abc import Iterator

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.config.fields import DEVICE_CACHE
from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.machine import memory
from benchmarks.runs import finished_training
from benchmarks.runs.plan import Run
from benchmarks.runs.record import finished_record
from input_pipeline import datasets, device_cache
from input_pipeline.errors import DataError

# The rest of a device's memory is the training's.
_LARGEST_SHARE = 0.5


def with_cached_split(run: Run) -> Run:
    """Returns the run with its training split decoded in the host's memory, if its configuration says so.

    A run whose training is over is returned as it is.

    Raises:
      ConfigError: the splits do not fit on the devices, or the pictures of the training split differ in size.
    """
    if finished_record(run.workdir) or finished_training.find(run.workdir):
        return run
    return dataclasses.replace(run, cached=read_split(run.setup, run.dataset))


def read_split(setup: Setup, dataset: datasets.Dataset) -> device_cache.CachedSplit | None:
    """Returns the training split, decoded in the host's memory; None if it is not to be kept on the devices.

    Raises:
      ConfigError: as `with_cached_split`.
    """
    config = setup.config
    if config.cache != DEVICE_CACHE:
        return None
    beside = _validation_bytes(setup, dataset)
    with _naming_the_field():
        return device_cache.read(
            dataset.source(config.train_split),
            label_shape=dataset.label_shape,
            image_sizes=setup.train_sizes,
            max_pixels=config.max_pixels,
            check_bytes=lambda needed: _check_memory(needed + beside),
        )


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


def keeps_validation(config: ConfigDict) -> bool:
    """Returns whether the validation split is kept on the devices: it is if training reads it again and again."""
    return config.cache == DEVICE_CACHE and config.validate_every_steps > 0


@contextlib.contextmanager
def _naming_the_field() -> Iterator[None]:
    """Says of what is wrong with a dataset which field it is wrong for."""
    try:
        yield
    except DataError as error:
        raise ConfigError(f"config.cache=device cannot be had: {error}.") from error


def _validation_bytes(setup: Setup, dataset: datasets.Dataset) -> int:
    """Returns the memory that the validation split takes on each device, as evaluation sees it."""
    config, side = setup.config, setup.eval_image_size
    if not keeps_validation(config):
        return 0
    numbers = int(np.prod(dataset.label_shape)) + 1
    of_each = config.eval_crops * side * side * 3 + 4 * numbers
    examples = dataset.num_examples(config.validation_split)
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
