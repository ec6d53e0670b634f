"""Pictures of a run's most confident mistakes, as the model saw them: `predictions/mistakes.png` and `.json`.

    python -m benchmarks.mistakes --workdir=runs/digits/runs/resnet50-seed0

A run writes them when it completes; the command does so for one that has none. The PNG is a sheet of square tiles
without gaps, row by row. The JSON has `split`, `side` (pixels of a tile), `columns`, `pictures` (the index in the split
of each tile) and `mistakes`: what each example is, what it was taken for, and how confidently.
"""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from benchmarks.config import derived
from input_pipeline import datasets, decoding, resizing
from results import confusions, records
from results.records import codec, files, predictions

_LARGEST = 80  # pixels a side of a tile
_COLUMNS = 6
_COLORS = 256  # of a sheet in colour: a third of the bytes, which a page of many runs has to carry


def write(
    workdir: Path, record: records.RunRecord, config: ConfigDict, dataset: datasets.Dataset
) -> int:
    """Writes both files for the split that the run was reported on, and returns how many pictures there are.

    A run without predictions or without mistakes gets no files.

    Only the pictures that are shown are read.

    Args:
      workdir: the run's folder, with its `predictions/` and the names of its classes.
      record: the run's.
      config: the run's.
      dataset: what it names.

    Raises:
      RecordError, DataError, OSError: predictions or pictures cannot be read, or the files cannot be written.
    """
    if predictions.find(workdir) is None:
        return 0
    found = confusions.of(predictions.read(workdir, record))
    if not found.mistakes:
        return 0
    indices = list(dict.fromkeys(each.index for each in found.mistakes))
    split = config.test_split if found.split == "test" else config.validation_split
    tiles = [_tile(picture) for picture in _seen(config, dataset, split, indices)]
    facts = {"split": found.split, "side": len(tiles[0]), "columns": _COLUMNS, "pictures": indices}
    text = json.dumps(facts | {"mistakes": codec.encode(found.mistakes)}, indent=1) + "\n"
    folder = workdir / predictions.FOLDER
    files.write_atomically(folder / predictions.MISTAKES_PNG, _png(_sheet(tiles)))
    files.write_atomically(folder / predictions.MISTAKES_JSON, text)
    return len(tiles)


def try_to_write(
    workdir: Path, record: records.RunRecord, config: ConfigDict, dataset: datasets.Dataset
) -> None:
    """Calls `write`; where that fails it says so on the error stream, for a run is not to fail by its pictures."""
    try:
        write(workdir, record, config, dataset)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"warning: no pictures of mistakes: {reason}", file=sys.stderr, flush=True)


def _seen(
    config: ConfigDict, dataset: datasets.Dataset, split: str, indices: Sequence[int]
) -> list[np.ndarray]:
    """Returns the pictures as evaluation sees them (the centre of ten crops), uint8 [side, side, 3]."""
    source = dataset.source(split)
    return [
        resizing.evaluate_picture(
            decoding.decode(source[index]["image"], lambda index=index: source.describe(index)),
            derived.eval_image_size(config),
            config.crop_fraction,
            config.interpolation,
        )
        for index in indices
    ]


def _tile(picture: np.ndarray) -> np.ndarray:
    if len(picture) <= _LARGEST:
        return picture
    whole = resizing.Box(0, 0, *picture.shape[:2])
    return resizing.resize_exactly(picture, whole, _LARGEST, _LARGEST)


def _sheet(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Returns uint8 [rows * side, columns * side, 3]; places without a tile are black."""
    side, rows = len(tiles[0]), -(-len(tiles) // _COLUMNS)
    sheet = np.zeros((rows, side, _COLUMNS, side, 3), np.uint8)
    for place, tile in enumerate(tiles):
        sheet[place // _COLUMNS, :, place % _COLUMNS] = tile
    return sheet.reshape(rows * side, _COLUMNS * side, 3)


def _png(sheet: np.ndarray) -> bytes:
    image = Image.fromarray(sheet)
    if (sheet == sheet[..., :1]).all():
        image = image.convert("L")
    else:
        palette = image.quantize(_COLORS)
        image = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
