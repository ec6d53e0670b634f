"""Plans as tables, as CSV and as JSON."""

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plan.cost import Cost, Rate
from benchmarks.plan.figures import Figures
from benchmarks.plan.largest import Largest
from benchmarks.plan.targets import Target
from isobudget import terminal

_TEXTS = ("model", "step", "memory", "bound by", "exchanged")
_KEYS = ("model", "step")


def print_figures(rows: Sequence[Figures]) -> None:
    """Prints a row for each step, and what went wrong with those that failed."""
    console = terminal.console()
    headings = (
        "model", "step", "size", "batch", "memory", "GB", "of", "arguments", "temporary", "TFLOP",
        "GB moved", "bound ms", "bound by", "img/s", "exchanged", "compile s",
    )  # fmt: skip
    terminal.print_table(
        console,
        terminal.columns(headings, _TEXTS, _KEYS),
        [_cells(row) for row in rows],
        ["" if row.status == "fits" else "red" for row in rows],
    )
    for row in rows:
        if row.status == "failed":
            line = f"{row.model}, {row.step} at {row.image_size}, does not compile: {row.problem}"
            console.print(terminal.text(line), soft_wrap=True)


def print_costs(costs: Sequence[Cost], target: Target, rate: Rate) -> None:
    """Prints a row for each model, and the sums."""
    console = terminal.console()
    headings = ("model", "runs", "steps", "hours", "USD", "likely hours", "likely USD")
    known = [each for each in costs if each.hours is not None]
    totals = [_total(known)] if len(known) == len(costs) else []
    terminal.print_table(
        console,
        terminal.columns(headings, _TEXTS, _KEYS),
        [_cost_cells(each) for each in costs],
        totals=totals,
    )
    console.print(
        f"{target.name} at {rate.price:g} USD for a device and hour. Hours are those of the whole target: each step at "
        f"its bound, and likely at {rate.efficiency:.0%} of that speed.",
        markup=False,
        soft_wrap=True,
    )


def print_largest(rows: Sequence[Largest]) -> None:
    """Prints the largest batch of each model."""
    terminal.print_table(
        terminal.console(),
        terminal.columns(("model", "size", "largest batch", "GB", "compiled"), _TEXTS, _KEYS),
        [
            (
                row.model,
                str(row.image_size),
                "none" if row.batch_size is None else f"{row.batch_size:,}",
                _giga(row.memory_bytes, 2),
                str(row.compiled),
            )
            for row in rows
        ],
    )


def write_csv(rows: Sequence[Figures], path: Path) -> None:
    """Writes a row for each step; the header has the names of `Figures`' fields, which include units."""
    names = [field.name for field in dataclasses.fields(Figures)]
    place = names.index("collectives") + 1
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, [*names[:place], "collective_bytes", *names[place:]], lineterminator="\n"
        )
        writer.writeheader()
        for row in rows:
            cells: dict[str, Any] = _plain(row)
            cells["collectives"] = _kinds(row)
            writer.writerow(cells)


def write_json(
    rows: Sequence[Figures],
    costs: Sequence[Cost],
    largest: Sequence[Largest],
    versions: Mapping[str, str],
    path: Path,
) -> None:
    """Writes all of it, with the versions of what compiled it."""
    document = {
        "versions": dict(versions),
        "steps": [_plain(row) for row in rows],
        "costs": [dataclasses.asdict(each) for each in costs],
        "largest_batches": [dataclasses.asdict(each) for each in largest],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _plain(row: Figures) -> dict[str, Any]:
    return dataclasses.asdict(row) | {"collective_bytes": row.collective_bytes}


def _cells(row: Figures) -> tuple[str, ...]:
    return (
        row.model,
        row.step,
        str(row.image_size),
        f"{row.batch_size:,}",
        row.status,
        _giga(row.memory_bytes, 2),
        _giga(row.usable_bytes, 2),
        _giga(row.argument_bytes, 2),
        _giga(row.temporary_bytes, 2),
        "" if row.flops is None else f"{row.flops / 1e12:,.2f}",
        _giga(row.bytes_moved, 2),
        "" if row.bound_ms is None else f"{row.bound_ms:,.2f}",
        _bound_by(row),
        "" if row.images_per_second is None else f"{row.images_per_second:,.0f}",
        f"{_kinds(row)}, {row.collective_bytes / 1e6:,.2f} MB" if row.collectives else "",
        f"{row.compile_seconds:,.0f}",
    )


def _bound_by(row: Figures) -> str:
    if row.bytes_bound_ms is None:
        return ""
    if row.flops_bound_ms is None:
        return "memory (peak unknown)"
    return "arithmetic" if row.flops_bound_ms > row.bytes_bound_ms else "memory"


def _kinds(row: Figures) -> str:
    return " + ".join(f"{each.count} {kind}" for kind, each in row.collectives.items())


def _giga(size: float | None, digits: int) -> str:
    return "" if size is None else f"{size / 1e9:,.{digits}f}"


def _cost_cells(cost: Cost) -> tuple[str, ...]:
    amounts = (cost.hours, cost.dollars, cost.likely_hours, cost.likely_dollars)
    return (
        cost.model,
        str(cost.runs),
        "measured" if cost.steps is None else f"{cost.steps:,}",
        *("" if each is None else f"{each:,.2f}" for each in amounts),
    )


def _total(costs: Sequence[Cost]) -> tuple[str, ...]:
    sums = [
        sum(getattr(each, field) for each in costs)
        for field in ("hours", "dollars", "likely_hours", "likely_dollars")
    ]
    runs = sum(each.runs for each in costs)
    return ("together", str(runs), "", *(f"{each:,.2f}" for each in sums))
