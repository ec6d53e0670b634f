"""What was measured, as tables and as CSV."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.throughput import input_speed, loop_overhead, recognition_speed
from benchmarks.throughput.model_speed import Speed


def write_csv(
    speeds: Sequence[
        Speed
        | input_speed.InputSpeed
        | input_speed.Waiting
        | loop_overhead.LoopOverhead
        | recognition_speed.RecognitionSpeed
    ],
    path: Path,
) -> None:
    """Writes a row each, the header naming fields and units as their class does."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(speeds[0])])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(speed) for speed in speeds)


def _numbers(*columns: str, texts: int = 1) -> Table:
    """Returns an empty table whose columns but the first ones are numbers."""
    table = Table(*columns)
    for column in table.columns[texts:]:
        column.justify = "right"
    return table


def _table(speeds: Sequence[Speed]) -> Table:
    table = _numbers(
        "model",
        "size",
        "batch",
        "train img/s",
        "infer img/s",
        "step ms",
        "p50 ms",
        "p99 ms",
        "GiB",
        "compile s",
    )
    for speed in speeds:
        table.add_row(
            speed.model,
            str(speed.image_size),
            str(speed.batch_size),
            f"{speed.train_images_per_second:,.1f}",
            f"{speed.infer_images_per_second:,.1f}",
            f"{speed.train_step_ms:,.1f}",
            f"{speed.infer_latency_p50_ms:,.2f}",
            f"{speed.infer_latency_p99_ms:,.2f}",
            f"{speed.peak_memory_bytes / 2**30:.2f}" if speed.peak_memory_bytes else "",
            f"{speed.compile_seconds:.1f}",
        )
    return table


def _input_table(speeds: Sequence[input_speed.InputSpeed]) -> Table:
    table = _numbers("reader", "stage", "workers", "images/s", texts=2)
    for speed in speeds:
        workers = str(speed.workers) if speed.workers else "threads"
        if speed.stage in ("read", "decode", "augment"):
            workers = "1 thread"
        table.add_row(speed.reader, speed.stage, workers, f"{speed.images_per_second:,.0f}")
    return table


def _waiting_table(found: Sequence[input_speed.Waiting]) -> Table:
    table = _numbers("model", "batch", "workers", "train img/s", "waiting for data")
    for each in found:
        table.add_row(
            each.model,
            str(each.batch_size),
            str(each.workers) if each.workers else "threads",
            f"{each.train_images_per_second:,.1f}",
            f"{each.input_wait_share:.1%}",
        )
    return table


def _loop_table(found: Sequence[loop_overhead.LoopOverhead]) -> Table:
    table = _numbers("model", "size", "batch", "bare step ms", "in the loop ms", "overhead")
    for each in found:
        table.add_row(
            each.model,
            str(each.image_size),
            str(each.batch_size),
            f"{each.bare_step_ms:,.2f}",
            f"{each.loop_step_ms:,.2f}",
            f"{each.overhead:.1%}",
        )
    return table


def _recognition_table(found: Sequence[recognition_speed.RecognitionSpeed]) -> Table:
    table = _numbers("model", "size", "pictures", "seconds", "the model alone", "its share")
    for each in found:
        table.add_row(
            each.model,
            str(each.image_size),
            f"{each.pictures:,}",
            f"{each.seconds:.3f}",
            f"{each.model_seconds:.3f}",
            f"{each.model_share:.0%}",
        )
    return table
