"""Downloads a TFDS dataset, or reads one from hand-fetched archives, and writes it as ArrayRecord.

    python -m input_pipeline.prepare --dataset=cifar10
    python -m input_pipeline.prepare --dataset=imagenet2012 --manual_dir=DIR

ImageNet wants `ILSVRC2012_img_train.tar` and `ILSVRC2012_img_val.tar` in the manual directory.
TFDS needs TensorFlow to prepare (`pip install 'isobudget[prepare]'`); reading needs none.
"""

import importlib.util
import sys
from pathlib import Path

from absl import app, flags

from input_pipeline import datasets, prepared
from input_pipeline.errors import DataError


def prepare(dataset: str, data_dir: str | None = None, manual_dir: str | None = None) -> Path:
    """Returns the directory of the dataset, prepared now unless it already was.

    Args:
        dataset: `NAME[/CONFIG][:VERSION]` in TFDS's catalogue, or `digits`.
        data_dir: Where prepared datasets lie; TFDS's own directory unless given.
        manual_dir: Where archives lie that TFDS may not download, such as ImageNet's.

    Raises:
        DataError: There is no such dataset, TensorFlow is missing, or TFDS cannot prepare it.
    """
    if datasets.needs_no_preparation(dataset):
        raise DataError(f"dataset {dataset!r} is read as it is and needs no preparation")
    directory = datasets.directory(data_dir)
    request = prepared.parse(dataset)
    if request.name == "digits":
        from input_pipeline import digits

        return digits.prepare(directory)
    found = prepared.find_directory(request, directory)
    if found is not None:
        prepared.read_builder(found)
        return found
    return _prepare_with_tfds(request, directory, manual_dir)


def _prepare_with_tfds(request: prepared.Request, directory: Path, manual_dir: str | None) -> Path:
    import tensorflow_datasets as tfds

    name = str(request)
    if request.name not in tfds.list_builders(with_community_datasets=False):
        raise prepared.not_prepared(request, directory, datasets.OWN_NAMES)
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError(
            f"TFDS needs TensorFlow to prepare {name!r}; run pip install 'isobudget[prepare]'"
        )
    try:
        builder = tfds.builder(name, data_dir=str(directory), file_format="array_record")
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                manual_dir=str(Path(manual_dir).expanduser()) if manual_dir else None
            )
        )
    except Exception as error:  # every dataset's own script fails in its own way
        raise DataError(f"TFDS could not prepare {name!r}: {prepared.first_line(error)}") from error
    return Path(builder.data_path)


def _define_flags() -> None:
    flags.DEFINE_string("dataset", None, "NAME[/CONFIG][:VERSION] in TFDS's catalogue, or digits.")
    flags.DEFINE_string("data_dir", None, "Where prepared datasets lie (TFDS's own directory).")
    flags.DEFINE_string("manual_dir", None, "Where archives lie that TFDS may not download.")


def main(argv: list[str]) -> None:
    """Prepares what the flags say; a mistake is one sentence and exit status 2."""
    try:
        if len(argv) > 1 or not flags.FLAGS.dataset:
            raise DataError("say which dataset to prepare: --dataset=NAME, such as cifar10")
        found = prepare(flags.FLAGS.dataset, flags.FLAGS.data_dir, flags.FLAGS.manual_dir)
    except DataError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"{flags.FLAGS.dataset} is prepared in {found}")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
