"""What a run takes for what: per-class accuracy, confusions, reliability and the most confident mistakes.

python -m results.confusions RUN [--split=validation] [--out=FILE.json]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from results import RecordError, commands, confusions, records
from results.confusions import Confusions, Counts, Matrix
from results.records import codec, predictions
from results.tables import terminal
from results.tables.markdown import one_line

_LEFT = ("class", "label", "taken for", "confidence")


def to_json(found: Confusions, run: records.RunRecord) -> str:
    """Returns the confusions as strict JSON text."""
    value = {"run_id": run.run_id, "model": run.label, "task": run.dataset.task}
    return json.dumps(value | codec.encode(found), indent=1, allow_nan=False) + "\n"


def print_confusions(found: Confusions, run: records.RunRecord, console: Console) -> None:
    """Prints the confusions on a console: a table for each question."""
    error = found.calibration_error
    console.print(Text(f"{run.label}, seed {run.seed}: {found.split} split", style="bold"))
    console.print(
        f"{found.right:,} of {found.examples:,} examples right"
        f" ({_percent(found.right / found.examples if found.examples else None)} %)"
        + ("" if error is None else f", expected calibration error {100 * error:.2f} %"),
        style="dim",
        end="\n\n",
    )
    _titled(console, "Classes, %", _classes(found.classes))
    if found.matrix and _matrix_width(found.matrix) <= console.width:
        _titled(console, "Confusion matrix: a row a class, a column what it was taken for", None)
        console.print(_matrix(found.matrix))
        console.print()
    if found.pairs:
        rows = [[each.label, each.predicted, f"{each.examples:,}"] for each in found.pairs]
        _titled(console, "Confused most", (["class", "taken for", "examples"], rows))
    bins = [
        (
            _range(i, len(found.reliability)),
            f"{each.examples:,}",
            _percent(each.confidence),
            _percent(each.right),
        )
        for i, each in enumerate(found.reliability)
        if each.examples
    ]
    # A label's confidence is right where the label is there.
    share = "positive" if _by_threshold(found.classes) else "right"
    header = ["confidence", "examples", "mean confidence", share]
    _titled(console, "Reliability, %", (header, bins))
    if found.mistakes:
        rows = [
            [str(each.index), each.label, each.predicted, _percent(each.confidence)]
            for each in found.mistakes
        ]
        title = f"Most confident mistakes, {len(rows)} of {found.all_mistakes:,}"
        header = ["example", "label", "taken for", "confidence %"]
        _titled(console, title, (header, rows))


def _titled(
    console: Console, title: str, table: tuple[Sequence[str], Sequence[Sequence[str]]] | None
) -> None:
    console.print(Text(title, style="bold"))
    if table:
        header, rows = table
        made = terminal.grid()
        for name in header:
            made.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold")
        for row in rows:
            made.add_row(*(escape(one_line(cell)) for cell in row))
        console.print(made)
        console.print()


def _classes(classes: Sequence[Counts]) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows; thresholds and average precision only where there are any."""
    many = _by_threshold(classes)
    header = ["class", "examples", "recall", "precision", "F1"]
    header += ["AP", "threshold"] if many else []
    header += ["right", "missed", "wrongly"]
    rows = []
    for each in classes:
        row = [each.name, f"{each.examples:,}", *map(_percent, (each.recall, each.precision))]
        row.append(_percent(each.f1))
        if many:
            row += [_percent(each.average_precision), f"{each.threshold:.3f}"]
        counts = (each.true_positives, each.false_negatives, each.false_positives)
        rows.append(row + [f"{count:,}" for count in counts])
    return header, rows


def _by_threshold(classes: Sequence[Counts]) -> bool:
    return any(each.threshold is not None for each in classes)


def _matrix(matrix: Matrix) -> Table:
    made = terminal.grid()
    made.add_column("", justify="left", no_wrap=True)
    for name in matrix.names:
        made.add_column(escape(one_line(name)), justify="right", no_wrap=True)
    for row, (name, counts) in enumerate(zip(matrix.names, matrix.counts, strict=True)):
        cells = [
            Text(f"{count:,}" if count else "·", style=_style(row == column, count))
            for column, count in enumerate(counts)
        ]
        made.add_row(escape(one_line(name)), *cells)
    return made


def _style(right: bool, count: int) -> str:
    return "green" if right else "yellow" if count else "dim"


def _matrix_width(matrix: Matrix) -> int:
    columns = [
        max(len(name), *(len(f"{counts[i]:,}") for counts in matrix.counts))
        for i, name in enumerate(matrix.names)
    ]
    return max(map(len, matrix.names)) + 2 + sum(width + 2 for width in columns)


def _range(place: int, bins: int) -> str:
    return f"{100 * place / bins:.0f} to {100 * (place + 1) / bins:.0f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments` (the process's own by default); returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m results.confusions",
        description="Tells what a finished run takes for what, from the predictions that it keeps.",
        epilog="Exit status: 0, or 2 when RUN has no readable predictions or --out cannot be written.",
    )
    parser.add_argument("run", metavar="RUN", help="a finished run's folder (it has record.json)")
    parser.add_argument(
        "--split", choices=predictions.SPLITS, help="the test split, where there is one, by default"
    )
    parser.add_argument(
        "--out", metavar="FILE.json", action="append", default=[], help="a JSON file to write"
    )
    options = parser.parse_args(arguments)
    return commands.run(lambda: _run(Path(options.run), options.split, options.out))


def _run(folder: Path, split: str | None, out: Sequence[str]) -> None:
    path = folder / records.FILE_NAME
    if not path.is_file():
        raise RecordError(f"There is no run in {str(folder)!r}: a run's folder has {path.name}.")
    run = records.read(path)
    try:
        found = confusions.of(predictions.read(folder, run, split))
    except RecordError as error:
        raise RecordError(f"{folder}: {error}") from None
    commands.write(out, {".json": lambda: to_json(found, run)})
    print_confusions(found, run, Console())


if __name__ == "__main__":
    sys.exit(main())
