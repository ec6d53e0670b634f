"""The confusions that the page shows: of as many runs as fit a budget of bytes, first seeds first."""

import base64
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from results import RecordError, confusions
from results.rankings.rows import Table
from results.records import codec, layout, predictions
from results.records.schema import RunRecord

# Of the page: text and pictures in bytes, and the predictions that are read for them, compressed.
_BYTES, _BYTES_READ = 3_000_000, 64_000_000
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def embed(tables: Sequence[Table], folders: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Returns by run id what the page shows of each run that kept its predictions, strict JSON values.

    - A run that fits: the fields of `results.confusions.Confusions`, of whose `classes` the hardest are kept and
      `all_classes` says how many there are; each mistake has the `tile` of `sheet` that shows it, where one does.
    - A run whose predictions are damaged: `problem`, in one sentence.
    - A run that the page has no space for: `left_out`.

    Args:
      tables: the rankings.
      folders: where each run's files lie, by run id.
    """
    result: dict[str, dict[str, Any]] = {}
    space, readable = _BYTES, _BYTES_READ
    for run in _first_seeds_first(tables):
        folder = folders.get(run.run_id)
        path = predictions.find(folder) if folder else None
        if folder is None or path is None or run.run_id in result:
            continue
        size = path.stat().st_size
        if space <= 0 or size > readable:
            result[run.run_id] = {"left_out": True}
            continue
        readable -= size
        try:
            shown = _shown(confusions.of(predictions.read(folder, run)), folder)
        except RecordError as error:
            result[run.run_id] = {"problem": str(error)}
            continue
        needed = len(json.dumps(shown, separators=(",", ":")))
        # What does not fit ends it: to look through all others for a small one would take long.
        result[run.run_id] = shown if needed <= space else {"left_out": True}
        space = space - needed if needed <= space else 0
    return result


def _first_seeds_first(tables: Sequence[Table]) -> Iterator[RunRecord]:
    rows = [row.runs for table in tables for row in table.rows]
    for of_a_seed in itertools.zip_longest(*rows):
        yield from (run for run in of_a_seed if run is not None)


def _shown(of_run: confusions.Confusions, folder: Path) -> dict[str, Any]:
    value = _rounded(codec.encode(of_run))
    value["all_classes"] = len(of_run.classes)
    if len(of_run.classes) > confusions.MOST_CLASSES:
        hardest = sorted(
            value["classes"], key=lambda each: (each["recall"] is None, each["recall"])
        )
        value["classes"] = hardest[: confusions.MOST_CLASSES]
    sheet, tiles = _sheet(folder, of_run.split)
    if any(each["index"] in tiles for each in value["mistakes"]):
        value["sheet"] = sheet
        for each in value["mistakes"]:
            each["tile"] = tiles.get(each["index"])
    return value


def _sheet(folder: Path, split: str) -> tuple[dict[str, Any], dict[int, int]]:
    """Returns the sheet of pictures and which tile shows which example; both empty where it is missing or damaged."""
    png_path, json_path = layout.mistakes_in(folder)
    try:
        facts = json.loads(json_path.read_text(encoding="utf-8"))
        png = png_path.read_bytes()
        indices, side, columns = facts["pictures"], facts["side"], facts["columns"]
        tiles = {int(index): place for place, index in enumerate(indices)}
        same = facts["split"] == split
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        fits = (width, height) == (side * columns, side * -(-len(tiles) // columns))
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return {}, {}
    if not (same and fits and png.startswith(_PNG_SIGNATURE)):
        return {}, {}
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    rows = height // side
    return {"png": address, "side": side, "columns": columns, "rows": rows}, tiles


def _rounded(value: Any) -> Any:
    """Returns the value with fractions to 5 digits, which no reader tells from the whole of them."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
