"""Learning curves: the metrics that a run logged, thinned to what a chart can show."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from results.records import layout
from results.records.folders import Problem
from results.records.schema import RunRecord

# A page of few runs shows every bend, one of ten thousand still loads.
_MOST_POINTS = 200
_FEWEST_POINTS = 8
_POINTS_OF_A_PAGE = 100_000


def points_per_curve(runs: int) -> int:
    """Returns how many points each curve keeps on a page of so many runs."""
    return max(_FEWEST_POINTS, min(_MOST_POINTS, _POINTS_OF_A_PAGE // max(runs, 1)))


def read(
    record: RunRecord, folder: Path | None, names: Iterable[str], most: int
) -> dict[str, Any] | None:
    """Returns a run's curves as columns of equal length, None where there are none.

    A metric that was measured once is no curve, and has no column.

    `step` counts optimizer steps, `seconds` is seconds of training, and each of `names`, such as
    `train/loss`, its value at that step, null where it was not measured. Without seconds in the
    file they are the run's own, in proportion to its steps. `examples_per_step` and
    `flops_per_step` turn steps into training examples and FLOPs; the latter, and all seconds, are
    null where the record does not tell. Lines that cannot be read are left out.

    Args:
      record: the run's.
      folder: where its `metrics.jsonl` lies; without a folder or file there is no curve.
      names: the metrics to keep.
      most: how many points to keep, evenly spaced, the first and the last among them. Lines of
        another split than train are few, and thinned on their own.
    """
    lines = _thinned(_lines(folder), most) if folder else []
    points = sorted(_points(lines), key=lambda point: point["step"])
    columns = {name: [_number(point.get(name)) for point in points] for name in names}
    columns = {name: values for name, values in columns.items() if _often(values)}
    kept = [i for i in range(len(points)) if any(v[i] is not None for v in columns.values())]
    if not kept:
        return None
    points = [points[i] for i in kept]
    budget = record.budget
    steps = [point["step"] for point in points]
    seconds = [_number(point.get("train_seconds")) for point in points]
    if None in seconds:
        seconds = _proportional(steps, budget.steps, budget.train_seconds_spent)
    return {
        "step": steps,
        "seconds": seconds,
        **{name: [values[i] for i in kept] for name, values in columns.items()},
        "examples_per_step": budget.batch_size,
        "flops_per_step": _flops_per_step(record),
    }


def damaged(folders: Iterable[Path]) -> list[Problem]:
    """Returns the files of curves that have lines which are no JSON objects, and so are left out of the curves."""
    problems = []
    for folder in folders:
        lines = [line for line in _lines(folder) if line.strip()]
        # To parse all of thousands of files would take minutes; half a line, or bytes of something else, shows at once.
        odd = sum(not (line.startswith(b"{") and line.rstrip().endswith(b"}")) for line in lines)
        if odd:
            reason = f"{odd:,} of its {len(lines):,} lines cannot be read and are left out of the curves."
            problems.append(Problem(layout.metrics_in(folder), reason))
    return problems


def _often(values: list[float | None]) -> bool:
    return sum(value is not None for value in values) > 1


def _lines(folder: Path) -> list[bytes]:
    try:
        return layout.metrics_in(folder).read_bytes().splitlines()
    except OSError:
        return []


def _thinned(lines: list[bytes], most: int) -> list[bytes]:
    """Thins before parsing: a long run's file has a hundred times more lines than a chart shows."""
    train: list[bytes] = []
    others: list[bytes] = []
    for line in lines:
        (train if b'"train/' in line else others).append(line)
    return _evenly(train, most) + _evenly(others, most)


def _evenly(lines: list[bytes], most: int) -> list[bytes]:
    if len(lines) <= most:
        return lines
    return [lines[round(i * (len(lines) - 1) / (most - 1))] for i in range(most)]


def _points(lines: list[bytes]) -> list[dict[str, Any]]:
    """Returns the lines that can be read and tell their step."""
    try:
        values = json.loads(b"[" + b",".join(lines) + b"]")  # much sooner than line by line
        values = values if len(values) == len(lines) else [_value(line) for line in lines]
    except (ValueError, RecursionError):
        values = [_value(line) for line in lines]
    return [v for v in values if isinstance(v, dict) and _is_step(v.get("step"))]


def _is_step(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _number(value: Any) -> float | None:
    """Returns a finite number to 4 digits, which no chart can tell from the whole of it."""
    if type(value) is not float and type(value) is not int:
        return None
    try:
        return float(f"{value:.4g}") if math.isfinite(value) else None
    except OverflowError:  # an integer of more than 308 digits
        return None


def _proportional(steps: list[int], total: int | None, spent: float | None) -> list[float | None]:
    if not total or spent is None:
        return [None] * len(steps)
    return [_number(step / total * spent) for step in steps]


def _flops_per_step(record: RunRecord) -> float | None:
    budget, macs = record.budget, record.model.macs
    if budget.train_flops_spent and budget.examples_spent:
        return budget.train_flops_spent / budget.examples_spent * budget.batch_size
    return 6 * macs * budget.batch_size if macs else None
