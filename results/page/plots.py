"""The page's figures as files: `plots/*.svg` and `plots/*.png`, from the same specifications."""

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import vl_convert

from results.page import charts, curves, figures
from results.rankings.rows import Table
from results.records.files import write_atomically

_PNG_SCALE = 2  # pixels of the file for one of the plot
_MOST_CURVES = len(charts.PALETTE)  # models
_MOST_POINTS = 200  # of a curve


def write_plots(
    tables: Sequence[Table],
    out_dir: str | os.PathLike[str],
    folders: Mapping[str, Path] | None = None,
) -> list[Path]:
    """Writes every figure that has data into `out_dir`/plots and returns the files' paths.

    A file is named after its figure, and where there are several rankings by their number first:
    `accuracy-macs.svg`, `2-train-loss-seconds.png`. Curves are those of the best ten models.

    Args:
      tables: the rankings.
      out_dir: the folder that gets `plots/`.
      folders: where each run's files lie, by run id; a run without a folder has no curves.

    Raises:
      OSError: a file cannot be written.
    """
    paths = []
    for number, table in enumerate(tables, start=1):
        prefix = f"{number}-" if len(tables) > 1 else ""
        for name, specification in _figures(table, folders or {}):
            path = Path(out_dir) / "plots" / f"{prefix}{name}"
            svg, png = path.with_name(f"{path.name}.svg"), path.with_name(f"{path.name}.png")
            write_atomically(svg, _renumbered(vl_convert.vega_to_svg(specification)))
            image = vl_convert.vega_to_png(specification, scale=_PNG_SCALE)
            write_atomically(png, image)
            paths += [svg, png]
    return paths


def _figures(table: Table, folders: Mapping[str, Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name of each figure that has data, and its specification with the data in it."""
    for figure in figures.SCATTERS:
        scatter = figures.points(table, figure)
        if scatter:
            ends = dict(zip(("x_min", "x_max", "y_min", "y_max"), scatter["domain"], strict=True))
            title = figures.score_title(table)
            yield (
                figure.name,
                _filled(charts.scatter(figure), scatter["points"], y_title=title, **ends),
            )
    of_runs = _curves(table, folders)
    for metric in figures.metric_names(table):
        data = [{**curve, "value": curve[metric]} for curve in of_runs if metric in curve]
        for over in charts.OVER if data else ():
            split, _, name = metric.partition("/")
            specification = charts.curves(over, loss=name == "loss")
            title = figures.metric_title(metric)
            yield f"{split}-{name}-{over}", _filled(specification, data, y_title=title)


def _curves(table: Table, folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    models = 0
    for name, row in zip(figures.names(table), table.rows, strict=True):
        read = [
            (
                run,
                curves.read(
                    run, folders.get(run.run_id), figures.metric_names(table), _MOST_POINTS
                ),
            )
            for run in row.runs
        ]
        drawn = [{"name": name, "run": run.run_id, "seed": run.seed, **c} for run, c in read if c]
        result += drawn
        models += bool(drawn)
        if models == _MOST_CURVES:
            break
    return result


def _filled(
    specification: dict[str, Any], data: list[dict[str, Any]], **signals: Any
) -> dict[str, Any]:
    result = copy.deepcopy(specification)
    result["data"][0]["values"] = data
    for signal in result["signals"]:
        if signal["name"] in signals:
            signal["value"] = signals[signal["name"]]
    return result


def _renumbered(svg: str) -> str:
    """Returns the SVG with its clip paths numbered from 0; Vega counts on from one plot to the next."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"{match[1]}{numbers.setdefault(match[2], len(numbers))}"

    return re.sub(r"""((?:id="|url\(#)clip)(\d+)""", number, svg)
