"""Datasets that are registered here, this package's own among them: TFDS builders that need no TensorFlow.

Each is written to the data directory when it is first asked for.
"""

import contextlib
import fcntl
import importlib
import io
import logging
import os
import re
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from input_pipeline import tiny_imagenet
from input_pipeline.errors import DataError
from isobudget.wording import quoted, quoted_path

# Where this package registers its own; not imported before a dataset is asked for, because they import TFDS.
_BUILT_IN = ("input_pipeline.digits", "input_pipeline.digits_multilabel")
_SYNTHETIC = "synthetic"

_builders: dict[str, Any] = {}
_Builder = TypeVar("_Builder", bound=type)


def register_dataset(name: str) -> Callable[[_Builder], _Builder]:
    """Returns a decorator that registers a builder; see `input_pipeline.register_dataset`.

    Raises:
      DataError: the name is taken or unfit, or the class is no builder of one dataset.
    """

    def decorate(builder_class: _Builder) -> _Builder:
        _check_name(name, builder_class)
        _check_builder(name, builder_class)
        _builders[name] = builder_class
        return builder_class

    return decorate


def import_built_in() -> None:
    """Imports the modules in which this package registers its own datasets."""
    for module in _BUILT_IN:
        importlib.import_module(module)


def names() -> tuple[str, ...]:
    """Returns the names of all registered datasets, sorted."""
    import_built_in()
    return tuple(sorted(_builders))


def find(name: str) -> type | None:
    """Returns the builder class registered as `name`; None for any other dataset."""
    import_built_in()
    return _builders.get(name)


def prepare(name: str, data_dir: Path) -> Path | None:
    """Returns the directory of the registered dataset `name`, written first if it is missing; None for any other name.

    It is written aside and moved into place whole, under a lock that the kernel releases with its
    process: any number of processes may call this at once, and what a killed one left is cleared
    away by the next.

    Raises:
      DataError: `data_dir` cannot be written, or the builder fails.
    """
    import_built_in()
    if name not in _builders:
        return None
    builder_class = _builders[name]
    version = str(builder_class.VERSION)
    final = data_dir / name / version
    if _is_complete(final):
        return final
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _lock(data_dir / f".{name}-{version}.lock"):
            if not _is_complete(final):
                _write(name, builder_class, data_dir, final)
    except OSError as error:
        raise DataError(
            f"cannot write the {name} dataset into data_dir {quoted_path(data_dir)}"
            f" ({error.strerror or error}); name a directory that can be written"
        ) from error
    return final


def _is_complete(directory: Path) -> bool:
    return (directory / "dataset_info.json").is_file()


def _check_name(name: str, builder_class: Any) -> None:
    import tensorflow_datasets as tfds

    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise DataError(
            f"{quoted(name)} cannot be the name of a dataset: a name is made of letters, digits and _,"
            " a letter first"
        )
    owner = None
    if name in _builders:
        owner = _builders[name].__module__
    elif name == _SYNTHETIC:
        owner = "input_pipeline.synthetic"
    elif tiny_imagenet.is_named(name):
        owner = "input_pipeline.tiny_imagenet"
    elif name in tfds.list_builders(with_community_datasets=False):
        # A class without skip_registration=True is in TFDS's own list, too.
        in_catalog = tfds.builder_cls(name)
        owner = None if in_catalog is builder_class else "TFDS's catalog"
    if owner:
        raise DataError(
            f"the dataset {quoted(name)} of {builder_class.__module__} needs another name:"
            f" {owner} has a dataset of that name"
        )


def _check_builder(name: str, builder_class: Any) -> None:
    import tensorflow_datasets as tfds

    is_builder = isinstance(builder_class, type) and issubclass(
        builder_class, tfds.core.DatasetBuilder
    )
    if not is_builder or builder_class.VERSION is None or builder_class.BUILDER_CONFIGS:
        raise DataError(
            f"the dataset {quoted(name)} of {builder_class.__module__} has to be a class derived from"
            " tfds.core.GeneratorBasedBuilder with a VERSION and without BUILDER_CONFIGS"
        )


def _write(name: str, builder_class: Any, data_dir: Path, final: Path) -> None:
    prefix = f".{final.parent.name}-{final.name}-"
    for debris in data_dir.glob(f"{prefix}*"):
        shutil.rmtree(debris, ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    staging = tempfile.mkdtemp(prefix=prefix, dir=data_dir)
    try:
        builder = builder_class(data_dir=staging, file_format="array_record")
        try:
            with _quiet():
                builder.download_and_prepare()
        except Exception as error:  # whatever somebody else's builder does
            raise _failed(name, error) from error
        final.parent.mkdir(exist_ok=True)
        os.replace(builder.data_dir, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _failed(name: str, error: Exception) -> DataError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    reason = (str(error).strip().splitlines() or [""])[0]
    return DataError(
        f"the dataset {quoted(name)} of {_builders[name].__module__} cannot be written:"
        f" {type(error).__name__}: {reason} ({last.filename}, line {last.lineno})"
    )


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
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
