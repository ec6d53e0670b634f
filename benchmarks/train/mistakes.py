"""Pictures of a run's most confident mistakes, as the model saw them: `predictions/mistakes.png` and `.json`.

A run writes them when it completes, and `python -m benchmarks.mistakes`, whose docstring says what is in them, for a
run that has none.
"""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.config.setup import Setup
from input_pipeline import datasets, decoding, resizing
from results import confusions, records
from results.records import codec, files, layout, predictions

_LARGEST = 80  # pixels a side of a tile
_COLUMNS = 6
_COLORS = 256  # of a sheet in color: a third of the bytes, which matters to a page of many runs


def write(workdir: Path, record: records.RunRecord, setup: Setup, dataset: datasets.Dataset) -> int:
    """Returns how many pictures there are, after writing both files for the split that the run is reported on.

    A run without predictions or without mistakes gets no files. Only the pictures that are shown are read.

    Args:
      workdir: the run's folder, with its `predictions/` and the names of its classes.
      record: the run's.
      setup: the run's.
      dataset: the one that it names.

    Raises:
      RecordError, DataError, OSError: predictions or pictures cannot be read, or the files cannot be written.
    """
    if predictions.find(workdir) is None:
        return 0
    confused = confusions.of(predictions.read(workdir, record))
    if not confused.mistakes:
        return 0
    indices = list(dict.fromkeys(each.index for each in confused.mistakes))
    config = setup.config
    split = config.test_split if confused.split == "test" else config.validation_split
    tiles = [tile_of(picture) for picture in _seen(setup, dataset, split, indices)]
    facts = {
        "split": confused.split,
        "side": len(tiles[0]),
        "columns": _COLUMNS,
        "pictures": indices,
    }
    text = json.dumps(facts | {"mistakes": codec.encode(confused.mistakes)}, indent=1) + "\n"
    sheet, which = layout.mistakes_in(workdir)
    files.write_atomically(sheet, encode_png(sheet_of(tiles)))
    files.write_atomically(which, text)
    return len(tiles)


def try_to_write(
    workdir: Path, record: records.RunRecord, setup: Setup, dataset: datasets.Dataset
) -> None:
    """Calls `write`, and only warns on standard error if that fails: a run must not fail because of its pictures."""
    try:
        write(workdir, record, setup, dataset)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"warning: no pictures of mistakes: {reason}", file=sys.stderr, flush=True)


def _seen(
    setup: Setup, dataset: datasets.Dataset, split: str, indices: Sequence[int]
) -> list[np.ndarray]:
    """Returns the pictures as evaluation sees them (the center one of ten crops), uint8 [side, side, 3]."""
    source, config = dataset.source(split), setup.config

    def seen(index: int) -> np.ndarray:
        decoded = decoding.decode(
            source[index]["image"], lambda: source.describe(index), config.max_pixels
        )
        return resizing.evaluate_picture(
            decoded, setup.eval_image_size, config.crop_fraction, config.interpolation
        )

    return [seen(index) for index in indices]


def tile_of(picture: np.ndarray) -> np.ndarray:
    """Returns the picture, reduced to the side of a tile if it is larger, uint8 [side, side, 3]."""
    if len(picture) <= _LARGEST:
        return picture
    whole = resizing.Box(0, 0, *picture.shape[:2])
    return resizing.resize_exactly(picture, whole, _LARGEST, _LARGEST)


def sheet_of(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Returns uint8 [rows * side, columns * side, 3]; places without a tile are black."""
    side, rows = len(tiles[0]), -(-len(tiles) // _COLUMNS)
    sheet = np.zeros((rows, side, _COLUMNS, side, 3), np.uint8)
    for place, tile in enumerate(tiles):
        sheet[place // _COLUMNS, :, place % _COLUMNS] = tile
    return sheet.reshape(rows * side, _COLUMNS * side, 3)


def encode_png(sheet: np.ndarray) -> bytes:
    """Returns a PNG of the sheet: gray if all its pictures are, otherwise with a palette."""
    image = Image.fromarray(sheet)
    if (sheet == sheet[..., :1]).all():
        image = image.convert("L")
    else:
        palette = image.quantize(_COLORS)
        image = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
