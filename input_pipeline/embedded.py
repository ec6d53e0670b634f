"""Datasets that need neither network nor TensorFlow: TFDS builders of ours, prepared when they are first asked for."""

import contextlib
import fcntl
import importlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from input_pipeline.errors import DataError

# By name, the module and the builder's class in it: TFDS is imported only where it is needed.
_BUILDERS = {
    "digits": ("input_pipeline.digits", "Digits"),
    "digits_low": ("input_pipeline.digits", "DigitsLow"),
    "digits_high": ("input_pipeline.digits", "DigitsHigh"),
    "digits_multilabel": ("input_pipeline.digits_multilabel", "DigitsMultilabel"),
}
NAMES = tuple(_BUILDERS)


def prepare(name: str, data_dir: Path) -> Path | None:
    """Returns the directory of the embedded dataset `name`, writing it first where it is missing.

    Of a dataset that is not embedded it is None.

    It is written aside and moved into place whole, under a lock that the kernel releases with its
    process: any number of processes may call this at once, and what a killed one left is cleared
    away by the next.

    Raises:
        DataError: `data_dir` cannot be written.
    """
    if name not in _BUILDERS:
        return None
    module, attribute = _BUILDERS[name]
    builder_class = getattr(importlib.import_module(module), attribute)
    version = str(builder_class.VERSION)
    final = data_dir / name / version
    if _is_complete(final):
        return final
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _lock(data_dir / f".{name}-{version}.lock"):
            if not _is_complete(final):
                _write(builder_class, data_dir, final)
    except OSError as error:
        raise DataError(
            f"cannot write the {name} dataset into data_dir {str(data_dir)!r}"
            f" ({error.strerror or error}); name a directory that can be written"
        ) from error
    return final


def _is_complete(directory: Path) -> bool:
    return (directory / "dataset_info.json").is_file()


def _write(builder_class: type, data_dir: Path, final: Path) -> None:
    prefix = f".{final.parent.name}-{final.name}-"
    for debris in data_dir.glob(f"{prefix}*"):
        shutil.rmtree(debris, ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    staging = tempfile.mkdtemp(prefix=prefix, dir=data_dir)
    try:
        builder = builder_class(data_dir=staging, file_format="array_record")
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
