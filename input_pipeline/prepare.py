"""Writes a TFDS dataset as ArrayRecord, makes a copy with smaller pictures, or checks a dataset.

    python -m input_pipeline.prepare --dataset=imagenette/320px-v2
    python -m input_pipeline.prepare --dataset=imagenet2012 --manual_dir=DIR --data_dir=DIR
    python -m input_pipeline.prepare --dataset=imagenet2012 --shorter_side=256 --data_dir=DIR
    python -m input_pipeline.prepare --dataset=imagenet2012 --verify --data_dir=DIR

TFDS needs TensorFlow to prepare (`pip install 'isobudget[prepare]'`); smaller copies, checks and
reading need none. Run a command that was killed again: it clears away what was left, or goes on from
there. docs/data.md has more.
"""

import contextlib
import fcntl
import importlib.util
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from input_pipeline import builders, datasets, decoding, prepared
from input_pipeline.errors import DataError, unknown_name
from isobudget import command, paths, plugins
from isobudget.wording import quoted, quoted_path

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def prepare(
    dataset: str,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    shorter_side: int | None = None,
    max_pixels: int = decoding.MAX_PIXELS,
) -> Path:
    """Returns the directory of the prepared dataset, and prepares it first if it has to be.

    Args:
      dataset: `NAME[/CONFIG][:VERSION]` in TFDS's catalog, or a registered dataset such as `digits`.
      data_dir: the directory of prepared datasets; the default is TFDS's own.
      manual_dir: the directory of archives that TFDS may not download, such as ImageNet's; the
        default is `downloads/manual` in the data directory.
      shorter_side: if given, makes a copy called `NAME_shorterN` whose pictures have at most this
        many pixels on their shorter side, and returns its directory.
      max_pixels: a picture with more cannot be copied.

    Raises:
      DataError: the dataset is unknown, TensorFlow is missing, or TFDS cannot prepare it.
    """
    if datasets.needs_no_preparation(dataset):
        copies = "" if shorter_side is None else "; smaller copies are made of prepared datasets"
        raise DataError(
            f"dataset {quoted_path(dataset)} is read as it is and needs no preparation{copies}"
        )
    if shorter_side is not None and shorter_side < 1:
        raise DataError(f"--shorter_side={shorter_side} is no size; give 1 or more pixels")
    directory = datasets.directory(data_dir)
    original = _prepare_original(prepared.parse(dataset), directory, manual_dir)
    if shorter_side is None:
        return original
    return _prepare_copy(original, directory, shorter_side, max_pixels)


def _prepare_original(request: prepared.Request, data_dir: Path, manual_dir: str | None) -> Path:
    registered = builders.prepare(request.name, data_dir)
    if registered is not None:
        return registered
    directory = prepared.find_directory(request, data_dir)
    if directory is not None:
        prepared.read_builder(directory)
        return directory
    return run_builder(_builder(request, data_dir), data_dir, manual_dir)


def _prepare_copy(original: Path, data_dir: Path, shorter_side: int, max_pixels: int) -> Path:
    from input_pipeline import shrink

    name, *place = original.relative_to(data_dir).parts
    copy_name = prepared.name_of_copy(name, shorter_side)
    copy = data_dir.joinpath(copy_name, *place)
    with _alone(data_dir, copy_name):
        if not copy.exists():
            try:
                shrink.shrink(original, copy, copy_name, shorter_side, max_pixels)
            except (OSError, RuntimeError) as error:  # the writers are C++
                raise DataError(
                    f"cannot write {quoted_path(copy)} ({prepared.first_line(error)})"
                ) from error
    prepared.read_builder(copy)
    return copy


def _builder(request: prepared.Request, data_dir: Path) -> "tfds.core.DatasetBuilder":
    import tensorflow_datasets as tfds

    name = str(request)
    if request.name not in tfds.list_builders(with_community_datasets=False):
        raise prepared.not_prepared(request, data_dir, datasets.own_names())
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError(
            f"TFDS needs TensorFlow to prepare {quoted(name)}; run pip install 'isobudget[prepare]'"
        )
    configs = list(tfds.builder_cls(request.name).builder_configs)
    if request.config and request.config not in configs:
        raise unknown_name(f"config of {request.name}", request.config, configs)
    try:
        return tfds.builder(name, data_dir=str(data_dir), file_format="array_record")
    except Exception as error:  # every dataset's own script fails in its own way
        reason = prepared.first_line(error)
        raise DataError(f"TFDS cannot make a builder of {quoted(name)}: {reason}") from error


def run_builder(
    builder: "tfds.core.DatasetBuilder", data_dir: Path, manual_dir: str | None = None
) -> Path:
    """Runs a TFDS builder and returns the directory that it wrote.

    One process at a time writes a dataset; another one waits, and then finds it prepared. What a
    killed process left is cleared away first.

    Raises:
      DataError: files that the user has to download are missing, or the builder fails.
    """
    import tensorflow_datasets as tfds

    final = Path(builder.data_path)
    with _alone(data_dir, builder.name):
        _clear_leftovers(data_dir, builder.name)
        if not final.exists():
            manual = _manual_dir(builder, data_dir, manual_dir)
            _say(f"preparing {builder.name} in {final}")
            if not sys.stderr.isatty():
                tfds.disable_progress_bar()
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # TFDS's bars are on stderr
                    builder.download_and_prepare(
                        download_config=tfds.download.DownloadConfig(manual_dir=manual)
                    )
            except Exception as error:  # every dataset's own script fails in its own way
                reason = prepared.first_line(error)
                raise DataError(
                    f"TFDS could not prepare {quoted(builder.name)}: {reason}"
                ) from error
    prepared.read_builder(final)
    return final


def _manual_dir(
    builder: "tfds.core.DatasetBuilder", data_dir: Path, manual_dir: str | None
) -> str | None:
    """Returns the directory of the files that the user has to download, None if there are none."""
    instructions = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    if not instructions:
        return manual_dir
    given = (
        paths.expanded(manual_dir, "--manual_dir")
        if manual_dir
        else data_dir / "downloads" / "manual"
    )
    if not given.is_dir() or not any(given.iterdir()):
        raise DataError(
            f"{quoted(builder.name)} is made of files that you have to download, and {quoted_path(given)} has"
            f" none; give their directory as --manual_dir=DIR ({' '.join(instructions.split())})"
        )
    return str(given)


def _clear_leftovers(data_dir: Path, name: str) -> None:
    """Removes what killed processes left: half-written records, downloads, extracted archives."""
    downloads = data_dir / "downloads"
    written = [path for path in (data_dir / name).glob("**/incomplete.*") if path.is_dir()]
    fetched = [path for path in (downloads / name).glob("**/*.tmp.*") if path.is_dir()]
    archives = tuple(path.name for path in (downloads / name).glob("**/*") if path.is_file())
    extracted = [
        path for path in downloads.glob("extracted/incomplete.*") if path.name.endswith(archives)
    ]
    for leftover in (*written, *fetched, *extracted):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _alone(data_dir: Path, name: str) -> Iterator[None]:
    """Lets one process at a time write a dataset; the kernel releases the lock of a killed one."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = open(data_dir / f".{name}.lock", "a")  # noqa: SIM115
    except OSError as error:
        raise DataError(
            f"cannot write into data_dir {quoted_path(data_dir)} ({error.strerror or error});"
            " name a directory that can be written"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another process is preparing {name} in {data_dir}; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _define_flags() -> None:
    plugins.define_flag()
    flags.DEFINE_string(
        "dataset",
        None,
        "Names the dataset: NAME[/CONFIG][:VERSION] in TFDS's catalog, or one that a plug-in registers. What is"
        " read as it is, such as tiny_imagenet:PATH, goes with --verify alone.",
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "Prepared datasets are in this directory; the default is $TFDS_DATA_DIR, or"
        " ~/tensorflow_datasets.",
    )
    flags.DEFINE_string(
        "manual_dir",
        None,
        "This directory holds the archives that TFDS may not download; the default is"
        " downloads/manual in the data directory.",
    )
    flags.DEFINE_integer(
        "shorter_side",
        None,
        "Also makes a copy, NAME_shorterN, whose pictures have at most N pixels on their shorter"
        " side.",
    )
    flags.DEFINE_bool(
        "verify",
        False,
        "Decodes every record of a prepared dataset, of folder:PATH or of tiny_imagenet:PATH, and lists the bad"
        " ones. The exit status is 1 if there are any.",
    )
    flags.DEFINE_integer(
        "max_pixels",
        decoding.MAX_PIXELS,
        "A picture with more pixels is not decoded: a small file may claim to fill all memory.",
        lower_bound=1,
    )


def _verify(dataset: str, data_dir: str | None, shorter_side: int | None, max_pixels: int) -> int:
    from input_pipeline import verify

    if shorter_side is not None:
        name = prepared.name_of_copy(dataset, shorter_side)
        raise DataError(f"--verify takes a copy by its own name, such as --dataset={name}")
    report = verify.verify(dataset, data_dir, max_pixels)
    print(report)
    return 1 if report.bad else 0


def main() -> int:
    """Prepares or verifies what the flags say and returns the exit status."""
    options = flags.FLAGS
    # TensorFlow only writes files here: keep it from logging about processors and taking GPU memory.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if not options.dataset:
        raise DataError("say which dataset to prepare: --dataset=NAME, such as cifar10")
    if options.verify:
        return _verify(options.dataset, options.data_dir, options.shorter_side, options.max_pixels)
    directory = prepare(
        options.dataset,
        options.data_dir,
        options.manual_dir,
        options.shorter_side,
        options.max_pixels,
    )
    info = prepared.read_builder(directory).info
    sizes = ", ".join(f"{name} {split.num_examples}" for name, split in info.splits.items())
    print(f"{info.full_name} is prepared in {directory} ({sizes})")
    return 0


if __name__ == "__main__":
    command.run(main, _define_flags, interrupted="stopped; run the same command to continue")
