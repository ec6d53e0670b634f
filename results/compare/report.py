"""The comparison as Markdown, as JSON and on a terminal."""

import json
from collections.abc import Sequence

from rich.console import Console

from isobudget import terminal
from results.compare.comparison import Change, Comparison
from results.records import codec
from results.tables import cells, markdown

_RATIOS = {
    "parameters": "params",
    "macs": "MACs",
    "train_images_per_second": "train img/s",
    "infer_images_per_second": "infer img/s",
    "peak_memory_bytes": "memory",
}
_NOTE = (
    "A change is B minus A, in percentage points with its 95% t-interval: of the paired differences where A and B have "
    "the same seeds, Welch's otherwise. A ratio is B over A."
)


def to_markdown(comparisons: Sequence[Comparison], alone: Sequence[str]) -> str:
    """Returns the comparisons as Markdown, a section a pair of rankings."""
    lines = ["# Two leaderboards compared", "", _NOTE]
    for each in comparisons:
        lines += ["", f"## {markdown.plain(each.titles[1])}", ""]
        lines += [f"- {markdown.plain(line)}" for line in _remarks(each)]
        header, rows = _table(each)
        if rows:
            lines += ["", *markdown.text_table(header, rows)]
    lines += ["", *(f"- {markdown.plain(line)}" for line in alone)] if alone else []
    return "\n".join(lines) + "\n"


def to_json(comparisons: Sequence[Comparison], alone: Sequence[str]) -> str:
    """Returns the comparisons as strict JSON text."""
    pairs = [
        codec.encode(each)
        | {"changes": [codec.encode(c) | {"verdict": c.verdict} for c in each.changes]}
        for each in comparisons
    ]
    return json.dumps({"comparisons": pairs, "alone": list(alone)}, indent=1) + "\n"


def print_comparisons(
    comparisons: Sequence[Comparison], alone: Sequence[str], console: Console
) -> None:
    """Prints the comparisons on a console, one pair of rankings after another."""
    for each in comparisons:
        console.print(terminal.text(each.titles[1], style="bold"))
        for line in _remarks(each):
            console.print(terminal.text(line, style="yellow" if line in each.warnings else "dim"))
        header, rows = _table(each)
        if rows:
            console.print()
            terminal.print_table(console, terminal.columns(header), rows)
    for line in alone:
        console.print(terminal.text(line, style="yellow"))
    console.print(terminal.text(_NOTE, style="dim"))


def _remarks(comparison: Comparison) -> list[str]:
    lines = list(comparison.warnings)
    if comparison.titles[0] != comparison.titles[1]:
        lines.append(f"A: {comparison.titles[0]}")
    for name, only in zip("AB", comparison.only, strict=True):
        if only:
            lines.append(f"Only in {name}: {', '.join(only)}")
    return lines or ["Both have the same models, and everything matches."]


def _table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    changes = comparison.changes
    shown = [name for name in _RATIOS if any(name in each.ratios for each in changes)]
    metric = comparison.primary_metric.replace("_", " ")
    header = ["model", "size", "rank", f"{metric} A %", f"{metric} B %", "change", "verdict"]
    header += [_RATIOS[name] for name in shown]
    return header, [
        [
            each.model,
            str(each.image_size),
            _ranks(each),
            *("" if score is None else cells.percent(score) for score in each.scores),
            "" if each.difference is None else cells.points(each.difference),
            _verdict(each),
            *(_ratio(each.ratios.get(name)) for name in shown),
        ]
        for each in changes
    ]


def _verdict(change: Change) -> str:
    by = f", {change.method}" if change.method in ("paired", "Welch") else ""
    return change.verdict + by


def _ranks(change: Change) -> str:
    first, second = ("-" if rank is None else str(rank) for rank in change.ranks)
    return first if first == second else f"{first} → {second}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else "=" if ratio == 1 else f"x{ratio:.3g}"
