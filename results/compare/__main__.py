"""Two leaderboards compared: what changed in rank, in accuracy (with its interval) and in cost.

python -m results.compare A B [--out=FILE.md] [--out=FILE.json]

A and B are folders of runs, or `leaderboard.json` files. Changes are B less A, ratios B over A.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from results import RecordError, commands, records
from results.compare.comparison import Change, Comparison, compare
from results.rankings.rows import summarise
from results.records import codec
from results.tables import cells, document, markdown, terminal

_RATIOS = {
    "parameters": "params",
    "macs": "MACs",
    "train_images_per_second": "train img/s",
    "infer_images_per_second": "infer img/s",
    "peak_memory_bytes": "memory",
}
_NOTE = (
    "Changes are B less A in percentage points with their 95% t-interval: of the paired differences "
    "where A and B have the same seeds, else Welch's. Ratios are B over A."
)


def load(path: str) -> tuple[dict[str, Any], list[records.Problem]]:
    """Returns the document of a folder of runs or of a `leaderboard.json`, and the records left out.

    Raises:
      RecordError: there is nothing of the kind at `path`, in one sentence.
    """
    if Path(path).is_file():
        return _read(path), []
    loaded, problems = records.load_all([path])
    if not loaded and Path(path, "leaderboard.json").is_file():
        return _read(str(Path(path, "leaderboard.json"))), problems
    if not loaded:
        raise RecordError(f"There are no readable records in {path}, and no leaderboard.json.")
    # As a file would have it: one kind of input is enough to test.
    return json.loads(document.to_json(summarise(loaded))), problems


def _read(path: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: It cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: It is not JSON, or only half of it ({error}).") from None
    version = found.get("schema_version") if isinstance(found, dict) else None
    if type(version) is not int or not isinstance(found.get("rankings"), list):
        raise RecordError(f"{path}: It is not a leaderboard.json.")
    if version > document.SCHEMA_VERSION:
        raise RecordError(f"{path}: It was written by a newer version of the suite; update it.")
    return found


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


def _print(comparisons: Sequence[Comparison], alone: Sequence[str]) -> None:
    console = Console()
    for each in comparisons:
        console.print(Text(each.titles[1], style="bold"))
        for line in _remarks(each):
            console.print(Text(line, style="yellow" if line in each.warnings else "dim"))
        header, rows = _table(each)
        if rows:
            console.print()
            console.print(_fitting(header, rows, console.width), end="\n\n")
    for line in alone:
        console.print(Text(line, style="yellow"))
    console.print(Text(_NOTE, style="dim"))


def _remarks(found: Comparison) -> list[str]:
    lines = list(found.warnings)
    if found.titles[0] != found.titles[1]:
        lines.append(f"A: {found.titles[0]}")
    for name, only in zip("AB", found.only, strict=True):
        if only:
            lines.append(f"Only in {name}: {', '.join(only)}")
    return lines or ["Both have the same models, matched alike."]


def _table(found: Comparison) -> tuple[list[str], list[list[str]]]:
    shown = [name for name in _RATIOS if any(name in each.ratios for each in found.changes)]
    metric = found.primary_metric.replace("_", " ")
    header = ["model", "size", "rank", f"{metric} A %", f"{metric} B %", "change", "verdict"]
    header += [_RATIOS[name] for name in shown]
    return header, [
        [
            each.model,
            str(each.image_size),
            _ranks(each),
            *("" if score is None else cells.percent(score) for score in each.scores),
            "" if each.difference is None else cells.points(each.difference),
            f"{each.verdict}, {each.method}"
            if each.method in ("paired", "Welch")
            else each.verdict,
            *(_ratio(each.ratios.get(name)) for name in shown),
        ]
        for each in found.changes
    ]


def _fitting(header: list[str], rows: list[list[str]], width: int) -> Table:
    """Returns the table without the ratios, from the last, that do not fit `width` characters."""
    sizes = [max(map(len, cells)) + 2 for cells in zip(header, *rows, strict=True)]
    kept = len(header)
    while sum(sizes[:kept]) > width and header[kept - 1] in _RATIOS.values():
        kept -= 1
    return terminal.grid(header[:kept], (row[:kept] for row in rows))


def _ranks(change: Change) -> str:
    first, second = ("-" if rank is None else str(rank) for rank in change.ranks)
    return first if first == second else f"{first} → {second}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else "=" if ratio == 1 else f"x{ratio:.3g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments` (the process's own by default); returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m results.compare",
        description="Compares two leaderboards: rank, accuracy with its interval, and cost.",
        epilog="Exit status: 0, or 2 when A or B cannot be read or --out cannot be written.",
    )
    for name in ("A", "B"):
        parser.add_argument(
            name, help="a folder of runs (runs/*/record.json), or a leaderboard.json"
        )
    commands.add_out(parser)
    options = parser.parse_args(arguments)
    return commands.run(lambda: _run(options.A, options.B, options.out))


def _run(first: str, second: str, out: Sequence[str]) -> None:
    (a, missing_a), (b, missing_b) = load(first), load(second)
    try:
        found = compare(a, b)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecordError(
            f"{first} or {second} is not a leaderboard.json as this version writes it ({error!r})."
        ) from None
    if not found[0]:
        raise RecordError(f"{first} and {second} have no task in common.")
    commands.write(out, {".md": lambda: to_markdown(*found), ".json": lambda: to_json(*found)})
    _print(*found)
    commands.name_left_out([*missing_a, *missing_b])


if __name__ == "__main__":
    sys.exit(main())
