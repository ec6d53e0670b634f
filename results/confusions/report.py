"""Confusions as JSON and on a terminal."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from isobudget import terminal
from results.confusions.schema import Bin, Confusions, Counts, Matrix, Mistake, Pair
from results.records import RunRecord, codec

_TEXTS = ("class", "label", "true class", "predicted", "truth", "confidence")
_KEYS = ("class", "label", "example")


def to_json(confusions: Confusions, run: RunRecord) -> str:
    """Returns the confusions as strict JSON text."""
    value = {"run_id": run.run_id, "model": run.label, "task": run.dataset.task}
    return json.dumps(value | codec.encode(confusions), indent=1, allow_nan=False) + "\n"


def print_confusions(confusions: Confusions, run: RunRecord, console: Console) -> None:
    """Prints the confusions on a console: a table for each question."""
    console.print(
        terminal.text(f"{run.label}, seed {run.seed}: {confusions.split} split", style="bold")
    )
    console.print(terminal.text(_summary(confusions), style="dim"), end="\n\n")
    labels = any(each.threshold is not None for each in confusions.classes)
    _print(console, "Labels, %" if labels else "Classes, %", *_classes(confusions.classes, labels))
    if confusions.matrix:
        _print_matrix(console, confusions.matrix)
    if confusions.pairs:
        _print(console, "Confused most", *_pairs(confusions.pairs))
    _print(console, "Reliability, %", *_reliability(confusions.reliability, labels))
    if mistakes := confusions.mistakes:
        title = f"Most confident mistakes, {len(mistakes)} of {confusions.all_mistakes:,}"
        _print(console, title, *_mistakes(mistakes))


def _summary(confusions: Confusions) -> str:
    right, examples = confusions.right, confusions.examples
    share = _percent(right / examples if examples else None)
    text = f"{right:,} of {examples:,} examples right ({share} %)"
    error = confusions.calibration_error
    return text if error is None else f"{text}, expected calibration error {100 * error:.2f} %"


def _print(
    console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    console.print(terminal.text(title, style="bold"))
    terminal.print_table(console, terminal.columns(header, _TEXTS, _KEYS), rows)


def _classes(classes: Sequence[Counts], labels: bool) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows; average precision and threshold only of labels, each decided for itself."""
    header = ["label" if labels else "class", "examples", "recall", "precision", "F1"]
    header += ["AP", "threshold"] if labels else []
    header += ["correct", "missed", "false alarms"]
    rows = []
    for each in classes:
        row = [each.name, f"{each.examples:,}"]
        row += map(_percent, (each.recall, each.precision, each.f1))
        if labels:
            row += [_percent(each.average_precision), f"{each.threshold:.3f}"]
        counts = (each.true_positives, each.false_negatives, each.false_positives)
        rows.append(row + [f"{count:,}" for count in counts])
    return header, rows


def _print_matrix(console: Console, matrix: Matrix) -> None:
    console.print(
        terminal.text("Confusion matrix: true classes down, predicted across", style="bold")
    )
    columns = [terminal.Column("", left=True, key=True), *map(terminal.Column, matrix.names)]
    rows = [
        [name] + [_count(count, is_right=row == column) for column, count in enumerate(counts)]
        for row, (name, counts) in enumerate(zip(matrix.names, matrix.counts, strict=True))
    ]
    terminal.print_table(console, columns, rows)


def _count(count: int, *, is_right: bool) -> Text:
    style = "green" if is_right else "yellow" if count else "dim"
    return Text(f"{count:,}" if count else "·", style=style)


def _pairs(pairs: Sequence[Pair]) -> tuple[list[str], list[list[str]]]:
    rows = [[each.label, each.predicted, f"{each.examples:,}"] for each in pairs]
    return ["true class", "predicted", "examples"], rows


def _reliability(bins: Sequence[Bin], labels: bool) -> tuple[list[str], list[list[str]]]:
    # The confidence in a label is right where the label is there.
    header = ["confidence", "examples", "mean confidence", "positive" if labels else "correct"]
    return header, [
        [
            f"{100 * i / len(bins):.0f} to {100 * (i + 1) / len(bins):.0f}",
            f"{each.examples:,}",
            _percent(each.confidence),
            _percent(each.right),
        ]
        for i, each in enumerate(bins)
        if each.examples
    ]


def _mistakes(mistakes: Sequence[Mistake]) -> tuple[list[str], list[list[str]]]:
    return ["example", "truth", "predicted", "confidence %"], [
        [str(each.index), each.label, each.predicted, _percent(each.confidence)]
        for each in mistakes
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"
