"""The labels of pictures as JSON lines, CSV or a table."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.recognize.recognizer import Prediction, Recognizer
from isobudget import csv_lines
from isobudget.terminal import text

FORMATS = ("table", "jsonl", "csv")
_NARROWEST = 100  # characters, of a table that goes into a file


def rows(
    names: Iterable[str], predictions: Iterable[Prediction], top: int
) -> Iterator[dict[str, Any]]:
    """Yields, for each picture, `picture` and either `decision` and `confidences` by label, highest first, or `error`.

    Args:
      names: the pictures' names, in order.
      predictions: what was recognized in them, in order.
      top: how many of the most confident labels a row has; 0 for all.
    """
    names = iter(names)
    for prediction in predictions:
        for index, (decision, error) in enumerate(
            zip(prediction.decisions, prediction.errors, strict=True)
        ):
            row: dict[str, Any] = {"picture": next(names)}
            if decision is None:
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
        columns = [
            f"{kind}{place + 1}" for place in range(pairs) for kind in ("label", "confidence")
        ]
        print(csv_lines.line(["picture", "decision", "error", *columns]), end="")

    def write(self, row: dict[str, Any]) -> None:
        confidences = row.get("confidences", {}).items()
        cells = [cell for label, value in confidences for cell in (label, f"{value:.6f}")]
        cells += [""] * (2 * self._pairs - len(cells))
        decision = ";".join(row.get("decision", ()))
        print(csv_lines.line([row["picture"], decision, row.get("error", ""), *cells]), end="")

    def close(self) -> None:
        pass


class _Table:
    """A table for people, printed at the end, when the widths are known."""

    def __init__(self, title: str):
        self._table = Table(
            *("picture", "decision", "confidences"), title=text(title), title_justify="left"
        )

    def write(self, row: dict[str, Any]) -> None:
        if "error" in row:
            self._table.add_row(text(row["picture"]), "-", text(row["error"], "red"))
            return
        shares = [f"{label} {value:.1%}" for label, value in row["confidences"].items()]
        cells = (row["picture"], ", ".join(row["decision"]) or "none", "  ".join(shares))
        self._table.add_row(*map(text, cells))

    def close(self) -> None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=max(console.width, _NARROWEST))
        console.print(self._table)


def writer_of(name: str, recognizer: Recognizer, pairs: int) -> _Lines | _Csv | _Table:
    """Returns what writes rows in the format called `name`; `pairs` is how many labels a row has."""
    if name == "jsonl":
        return _Lines()
    if name == "csv":
        return _Csv(pairs)
    trained = recognizer.trained
    kind = "calibrated" if recognizer.trained.calibrated else "not calibrated"
    return _Table(f"{trained.label} ({Path(trained.source).name}), confidences {kind}")
