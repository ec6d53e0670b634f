"""Published figures, to stand beside a ranking and never in it: they were reached at other budgets.

A file of them is a CSV. It must have the columns `model` and `source` (who reported it), and may have `dataset` (only
beside rankings of this dataset; without it, beside all), `image_size` (pixels), `parameters`, `macs`, and the metrics
of docs/columns.md as fractions (`top1`, `top5`, `roc_auc`, ...). An empty field is a figure that was not reported.
`results/reference/imagenet.csv` is such a file.
"""

import csv
import functools
import io
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobudget.wording import quoted
from results import RecordError
from results.records import tasks

IMAGENET = Path(__file__).parents[1] / "reference" / "imagenet.csv"


@dataclass(frozen=True)
class Reported:
    """One published result.

    Attributes:
      source: who reported it, and of which weights.
      dataset: whose rankings it stands beside; empty for any.
      metrics: fractions, by the name of their column.
    """

    model: str
    source: str
    metrics: Mapping[str, float]
    dataset: str = ""
    image_size: int | None = None
    parameters: int | None = None
    macs: int | None = None


def read(path: str | os.PathLike[str]) -> list[Reported]:
    """Returns the rows of a file of published figures.

    Raises:
      RecordError: naming the file, the line and what is wrong with it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RecordError(f"{path}: it is not text.") from None
    except OSError as error:
        raise RecordError(f"{path}: it cannot be read ({error.strerror}).") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines, [])
        rows = [(lines.line_num, fields) for fields in lines]
    except csv.Error as error:
        raise RecordError(
            f"{path}, line {lines.line_num}: it is not CSV as it should be ({error})."
        ) from None
    return _rows(header, rows, path)


def _rows(
    header: list[str], rows: Iterable[tuple[int, list[str]]], path: str | os.PathLike[str]
) -> list[Reported]:
    known = ("model", "source", "dataset", *_WHOLE, *tasks.FRACTIONS)
    for name in header:
        if name not in known or header.count(name) > 1:
            wrong = "unknown" if name not in known else "there twice"
            raise RecordError(
                f"{path}: the column {quoted(name)} is {wrong}; known are {', '.join(known)}."
            )
    for name in ("model", "source"):
        if name not in header:
            raise RecordError(f"{path}: the column {quoted(name)} is missing.")
    figures = []
    for number, fields in rows:
        if not fields:
            continue
        where = f"{path}, line {number}"
        if len(fields) != len(header):
            raise RecordError(f"{where}: it has {len(fields)} fields, not {len(header)}.")
        figures.append(_row(dict(zip(header, fields, strict=True)), where))
    return figures


def beside(
    given: Iterable[Reported], dataset: str, task: str, networks: Collection[tuple[str, int]]
) -> tuple[Reported, ...]:
    """Returns what stands beside a ranking on `dataset`, best first.

    These are the figures given for its dataset or for none, and on `imagenet2012` those that are published for the
    models in it with the same options, at the same image size.

    Args:
      given: by the user.
      dataset: of the ranking.
      task: of the ranking, whose primary metric they are sorted by.
      networks: the models in the ranking, with their options, each with the image side that it was evaluated at.
    """
    figures = [each for each in given if each.dataset in ("", dataset)]
    if dataset == "imagenet2012":
        known = (each for each in _imagenet() if (each.model, each.image_size) in networks)
        figures += [each for each in known if each not in figures]
    primary = tasks.find(task).primary
    return tuple(sorted(figures, key=lambda r: (-r.metrics.get(primary, -1), r.model, r.source)))


@functools.cache
def _imagenet() -> tuple[Reported, ...]:
    return tuple(read(IMAGENET))


def _row(fields: dict[str, str], where: str) -> Reported:
    for name in ("model", "source"):
        if not fields[name].strip():
            raise RecordError(f"{where}: the field {quoted(name)} is empty.")
    whole = {name: _number(fields, name, where) for name in _WHOLE}
    metrics = {name: _number(fields, name, where) for name in tasks.FRACTIONS}
    return Reported(
        model=fields["model"].strip(),
        source=fields["source"].strip(),
        dataset=fields.get("dataset", "").strip(),
        metrics={name: value for name, value in metrics.items() if value is not None},
        **whole,
    )


def _number(fields: Mapping[str, str], name: str, where: str) -> Any:
    text = fields.get(name, "").strip()
    if not text:
        return None
    kind, good, wanted = _WHOLE.get(name, _FRACTION)
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not good(value):
        raise RecordError(
            f"{where}: the field {quoted(name)} must be {wanted}, not {quoted(text)}."
        )
    return value


_Kind = tuple[type, Callable[[Any], bool], str]
_FRACTION: _Kind = (float, lambda value: 0 <= value <= 1, "a fraction from 0 to 1")
_WHOLE: dict[str, _Kind] = {
    name: (int, lambda value: value > 0, "a whole number above 0")
    for name in ("image_size", "parameters", "macs")
}
