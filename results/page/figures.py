"""The figures' data: accuracy against cost, point by point, with Pareto front and labels."""

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from results.page import labels, pareto
from results.rankings.rows import Table
from results.rankings.statistics import Estimate
from results.records import tasks
from results.tables.columns import COLUMNS

FONT_SIZE = 12  # pixels, of a label
_MOST_LABELS = 40
_COLUMNS = {column.name: column for column in COLUMNS}


@dataclass(frozen=True)
class Size:
    """The inside of a plot, pixels; labels are placed anew for each."""

    name: str
    width: int
    height: int


WIDE = Size("wide", 500, 300)
NARROW = Size("narrow", 290, 270)
SIZES = (WIDE, NARROW)


@dataclass(frozen=True)
class Scatter:
    """Accuracy against the column `x` of the table.

    Attributes:
      name: of the figure's files.
      x: the column's name.
      title: what the axis says.
      number_format: how the axis writes its numbers, a d3-format.
    """

    name: str
    x: str
    title: str
    lower_is_better: bool
    number_format: str


SCATTERS = (
    Scatter("accuracy-parameters", "parameters", "parameters", True, "~s"),
    Scatter("accuracy-macs", "macs", "multiply-accumulates per image", True, "~s"),
    Scatter(
        "accuracy-train-throughput",
        "train_images_per_second",
        "training images per second",
        False,
        "~s",
    ),
    Scatter("accuracy-train-seconds", "train_seconds", "seconds of training", True, "~g"),
)


def score_name(table: Table) -> str:
    """Returns the name of the metric, and of its column, that ranks the table."""
    return tasks.find(table.group.task).primary


def score_title(table: Table) -> str:
    """Returns the heading of the metric that ranks the table, with its unit: `top-1 %`."""
    return _COLUMNS[score_name(table)].heading


def metric_names(table: Table) -> list[str]:
    """Returns which learning curves there are: loss and the ranking metric, in training and out."""
    names = ("loss", score_name(table))
    return [f"{split}/{name}" for split in ("train", "validation") for name in names]


def metric_title(metric: str) -> str:
    """Returns what an axis calls a curve: `train/top1` is `training top-1 %`."""
    split, _, name = metric.partition("/")
    heading = name if name == "loss" else _COLUMNS[name].heading
    return f"{'training' if split == 'train' else split} {heading}"


def names(table: Table) -> list[str]:
    """Returns what to call each row: its model, with the image size where the model has several."""
    models = Counter(row.model for row in table.rows)
    return [
        f"{row.model} @{row.image_size}" if models[row.model] > 1 else row.model
        for row in table.rows
    ]


def points(table: Table, figure: Scatter) -> dict[str, Any] | None:
    """Returns the figure's points and axes, or None where no row has both numbers.

    `points` holds a mapping a row: its index, name, `x` and `y` (the score in percent) with their
    intervals (`x_low` to `x_high`; the mean alone where there is none), whether it is on the
    `front`, both as text, and for each size of the plot where its label stands, if it fits.
    `domain` is x_min, x_max, y_min, y_max.
    """
    column, called = _COLUMNS[figure.x], names(table)
    points: list[dict[str, Any]] = []
    for index, row in enumerate(table.rows):
        x, y = _interval(column.of(row)), _interval(row.score)
        if x and y and x[0] > 0:  # the axis is logarithmic
            points.append(
                {
                    "row": index,
                    "name": labels.shortened(called[index]),
                    "x": x[0],
                    "x_low": x[1] if x[1] > 0 else x[0],
                    "x_high": x[2],
                    "y": 100 * y[0],
                    "y_low": 100 * y[1],
                    "y_high": 100 * y[2],
                    "x_text": column.cell(row),
                    "y_text": _COLUMNS[score_name(table)].cell(row),
                }
            )
    if not points:
        return None
    on_front = pareto.front([(p["x"], p["y"]) for p in points], figure.lower_is_better)
    for point, front in zip(points, on_front, strict=True):
        point["front"] = front
    domain = _domain(points)
    for size in SIZES:
        for index, at in _places(points, domain, size, figure).items():
            points[index][size.name] = [round(at.dx, 1), round(at.dy, 1), at.align]
    return {"points": [_rounded(point) for point in points], "domain": domain}


def _interval(value: Any) -> tuple[float, float, float] | None:
    """Returns mean, low and high; one seed has the mean three times."""
    if isinstance(value, Estimate):
        low, high = value.interval or (value.mean, value.mean)
        return value.mean, low, high
    if isinstance(value, int | float) and math.isfinite(value):
        return value, value, value
    return None


def _domain(points: list[dict[str, Any]]) -> list[float]:
    """Returns the ends of both axes: every mean, and as much of the intervals as the means leave space for.

    Two seeds may have an interval many times as wide as all means are apart; it is cut off then.
    """
    left, right = min(p["x_low"] for p in points), max(p["x_high"] for p in points)
    margin = max((right / left) ** 0.1, 1.25)
    means = [p["y"] for p in points]
    spread = max(max(means) - min(means), 1.0)
    low = max(min(p["y_low"] for p in points), min(means) - 0.5 * spread)
    high = min(max(p["y_high"] for p in points), max(means) + 0.5 * spread, max(100.0, *means))
    margin_y = 0.1 * (high - low) + 0.1
    # Bounded, for a damaged record may have speeds that no margin can be put around.
    first = max(min(left / margin, 1e299), 1e-300)
    last = min(max(right * margin, 1e-299), 1e300)
    ends = (first, last, low - margin_y, high + margin_y)
    return [float(f"{end:.6g}") for end in ends]


def _places(
    points: list[dict[str, Any]], domain: list[float], size: Size, figure: Scatter
) -> dict[int, labels.Place]:
    left, right, low, high = domain

    def across(x: float) -> float:
        whole = math.log(right) - math.log(left)
        return size.width * (math.log(max(x, left)) - math.log(left)) / whole

    def down(y: float) -> float:
        return size.height * (high - y) / (high - low)

    at = [(across(p["x"]), down(p["y"])) for p in points]
    bars = []
    for p, (x, y) in zip(points, at, strict=True):
        if p["y_high"] > p["y_low"]:
            bars.append((x - 1, down(p["y_high"]), x + 1, down(p["y_low"])))
        if p["x_high"] > p["x_low"]:
            bars.append((across(p["x_low"]), y - 1, across(p["x_high"]), y + 1))
    bars += _steps([place for p, place in zip(points, at, strict=True) if p["front"]], figure)
    order = sorted(range(len(points)), key=lambda i: (not points[i]["front"], points[i]["row"]))
    texts = [p["name"] for p in points]
    shape = (size.width, size.height)
    return labels.place(at, texts, order[:_MOST_LABELS], shape, FONT_SIZE, bars)


def _steps(
    front: list[tuple[float, float]], figure: Scatter
) -> list[tuple[float, float, float, float]]:
    """Returns the boxes, pixels, of the stairs that are drawn through the front."""
    boxes = []
    for (x, y), (next_x, next_y) in itertools.pairwise(sorted(front)):
        level, corner = (y, next_x) if figure.lower_is_better else (next_y, x)
        boxes.append((x, level - 1, next_x, level + 1))
        boxes.append((corner - 1, min(y, next_y), corner + 1, max(y, next_y)))
    return boxes


def _rounded(point: dict[str, Any]) -> dict[str, Any]:
    return {
        key: float(f"{value:.6g}") if isinstance(value, float) else value
        for key, value in point.items()
    }
