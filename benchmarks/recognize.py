"""Labels with confidences for pictures, by a trained run or by published weights.

    python -m benchmarks.recognize --workdir=runs/digits/runs/resnet50-seed0 picture.png FOLDER
    python -m benchmarks.recognize --model=resnet50 --weights=resnet50-0676ba61.pth --format=jsonl picture.jpg

A line a picture on standard output: the decision as the run's task makes it (the label of highest confidence; the class
or the rest; every label above its threshold) and the most confident labels. A folder stands for the pictures below it.
What is no picture is told on standard error and in its line, the rest go on, and the exit status is 1.

In Python, `Recognizer.from_run(workdir).recognize(pictures)` returns the same.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from benchmarks import commands, trained
from benchmarks.errors import ConfigError
from benchmarks.recognition import Prediction, Recognizer
from input_pipeline import passes, pictures

__all__ = ["Prediction", "Recognizer"]

FORMATS = ("table", "jsonl", "csv")
_NARROWEST = 100  # characters, of a table that goes into a file


def rows(
    names: Iterable[str], predictions: Iterable[Prediction], top: int
) -> Iterator[dict[str, Any]]:
    """Yields, for each picture, `picture` and either `decision` and `confidences` by label, highest first, or `error`.

    Args:
      names: of the pictures, in order.
      predictions: of the pictures, in order.
      top: how many labels; 0 for all.
    """
    names = iter(names)
    for prediction in predictions:
        for index, (decision, error) in enumerate(
            zip(prediction.decisions, prediction.errors, strict=True)
        ):
            row: dict[str, Any] = {"picture": next(names)}
            if error:
                yield row | {"error": error}
            else:
                best = prediction.top(index, top)
                yield row | {"decision": list(decision), "confidences": dict(best)}


class _Lines:
    """JSON lines."""

    def write(self, row: dict[str, Any]) -> None:
        if "confidences" in row:
            rounded = {label: round(value, 6) for label, value in row["confidences"].items()}
            row = row | {"confidences": rounded}
        print(json.dumps(row, ensure_ascii=False))

    def close(self) -> None:
        pass


class _Csv:
    """CSV: picture, decision (labels joined by `;`), error, then label and confidence in pairs."""

    def __init__(self, pairs: int):
        self._pairs = pairs
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        columns = [
            f"{kind}{place + 1}" for place in range(pairs) for kind in ("label", "confidence")
        ]
        self._writer.writerow(["picture", "decision", "error", *columns])

    def write(self, row: dict[str, Any]) -> None:
        found = [*row.get("confidences", {}).items()]
        cells = [cell for label, value in found for cell in (label, f"{value:.6f}")]
        cells += [""] * (2 * self._pairs - len(cells))
        decision = ";".join(row.get("decision", ()))
        self._writer.writerow([row["picture"], decision, row.get("error", ""), *cells])

    def close(self) -> None:
        pass


class _Table:
    """A table for people, printed at the end, when the widths are known."""

    def __init__(self, title: str):
        self._table = Table("picture", "decision", "confidences", title=title, title_justify="left")

    def write(self, row: dict[str, Any]) -> None:
        if "error" in row:
            self._table.add_row(row["picture"], "-", f"[red]{row['error']}[/red]")
            return
        shares = [f"{label} {value:.1%}" for label, value in row["confidences"].items()]
        self._table.add_row(row["picture"], ", ".join(row["decision"]) or "none", "  ".join(shares))

    def close(self) -> None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=max(console.width, _NARROWEST))
        console.print(self._table)


def define_flags() -> None:
    trained.define_flags()
    flags.DEFINE_enum("format", "table", FORMATS, "Of what is printed, a line a picture.")
    flags.DEFINE_integer("top", 5, "How many labels; 0 for all.", lower_bound=0)
    flags.DEFINE_float(
        "threshold",
        None,
        "Of the confidence that a label needs; the run's own by default, and none in single_label.",
    )
    flags.DEFINE_string("image_size", None, "Pixels a side; the run's or the model's by default.")
    flags.DEFINE_float("crop_fraction", None, "The part of the shorter side that is seen.")
    flags.DEFINE_integer("batch_size", None, "Pictures worked on at once.", lower_bound=1)


def main(arguments: list[str]) -> int:
    # Not with the allocator's settings: starting again takes longer than they gain for a few pictures.
    commands.use_compilation_cache()
    given = flags.FLAGS
    if not arguments:
        raise ConfigError("say which pictures or folders.")
    paths = pictures.find(arguments)
    changes = {
        "image_size": given.image_size,
        "crop_fraction": given.crop_fraction,
        "eval_batch_size": given.batch_size,
    }
    changes = {field: value for field, value in changes.items() if value is not None}
    recognizer = Recognizer(trained.from_flags(**changes), given.threshold)
    count = len(recognizer.found.logit_names)
    writer = _writer(given.format, recognizer, min(given.top or count, count))
    failed = 0
    with passes.progress("recognising", len(paths)) as advance:
        for row in rows(map(str, paths), recognizer.stream(paths), given.top):
            writer.write(row)
            advance(1)
            if "error" in row:
                failed += 1
                print(f"{row['error']}", file=sys.stderr)
    writer.close()
    return 1 if failed else 0


def _writer(name: str, recognizer: Recognizer, pairs: int) -> _Lines | _Csv | _Table:
    if name == "jsonl":
        return _Lines()
    if name == "csv":
        return _Csv(pairs)
    found = recognizer.found
    kind = "calibrated" if recognizer.calibrated else "not calibrated"
    return _Table(f"{found.label} ({Path(found.source).name}), confidences {kind}")


if __name__ == "__main__":
    commands.run(main, define_flags, takes_arguments=True)
