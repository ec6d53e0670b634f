"""Measurements as tables and as CSV."""

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.errors import ConfigError
from benchmarks.throughput.costs import Cost
from benchmarks.throughput.input_speed import InputSpeed, Waiting
from benchmarks.throughput.launch_speed import LaunchSpeed
from benchmarks.throughput.loop_overhead import LoopOverhead
from benchmarks.throughput.model_speed import Speed
from benchmarks.throughput.peers import PeerSpeed
from benchmarks.throughput.recognition_speed import RecognitionSpeed
from benchmarks.throughput.roofline import Roofline
from benchmarks.throughput.start_speed import StartSpeed
from isobudget import terminal
from isobudget.wording import quoted_path
from results.records import files

Measurement = (
    Speed
    | PeerSpeed
    | InputSpeed
    | Waiting
    | LoopOverhead
    | RecognitionSpeed
    | LaunchSpeed
    | Roofline
    | Cost
    | StartSpeed
)

_Measurement = TypeVar("_Measurement", bound=Measurement)

# By a field's type, what the text of its cell means.
_FROM_TEXT: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: {"True": True, "False": False}.__getitem__,
    int | None: lambda text: int(text) if text else None,
}
_ONE_THREAD = ("read", "decode", "augment")


def write_csv(measured: Sequence[Measurement], path: Path) -> None:
    """Writes a row for each measurement; the header has the names of the class's fields, which include units.

    A file is whole at any moment, however the command is cut off.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(measured[0])])
    writer.writeheader()
    writer.writerows(dataclasses.asdict(each) for each in measured)
    if path.exists() and not path.is_file():  # a device or a pipe, which must not be replaced
        path.write_text(text.getvalue(), newline="")
    else:
        files.write_atomically(path, text.getvalue())


def read_csv(kind: type[_Measurement], path: Path) -> list[_Measurement]:
    """Returns the measurements of one class in a file that `write_csv` wrote; none if there is no file.

    Raises:
      ConfigError: the file cannot be read, or holds something else.
    """
    types = {field.name: field.type for field in dataclasses.fields(kind)}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != [*types]:
                raise ConfigError(
                    f"{quoted_path(path)} has other columns than this version writes."
                )
            return [
                kind(**{name: _FROM_TEXT[types[name]](cell) for name, cell in row.items()})
                for row in reader
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{quoted_path(path)} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{quoted_path(path)} is no table of this command's.") from None


def print_table(measured: Sequence[Measurement]) -> None:
    """Prints a row for each measurement, all of which are of one class."""
    columns = _COLUMNS[type(measured[0])]
    terminal.print_table(
        terminal.console(),
        terminal.columns(columns, _TEXTS, _KEYS),
        [[cell(each) for cell in columns.values()] for each in measured],
    )


def _gibibytes(size: int | None) -> str:
    return f"{size / 2**30:.2f}" if size else ""


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _workers(number: int) -> str:
    return str(number) if number else "threads"


def _ratio(median: float, low: float, high: float) -> str:
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


_TEXTS = ("cache", "model", "step", "reader", "stage", "layer", "launcher", "measured")
_KEYS = ("cache", "model", "step", "reader", "stage", "layer", "workers", "launcher", "nodes")
# By class, each column's heading and the text of its cells.
_COLUMNS: dict[type, dict[str, Callable]] = {
    Speed: {
        "model": lambda speed: speed.model,
        "size": lambda speed: str(speed.image_size),
        "batch": lambda speed: str(speed.batch_size),
        "train img/s": lambda speed: f"{speed.train_images_per_second:,.1f}",
        "infer img/s": lambda speed: f"{speed.infer_images_per_second:,.1f}",
        "step ms": lambda speed: f"{speed.train_step_ms:,.1f}",
        "p50 ms": lambda speed: f"{speed.infer_latency_p50_ms:,.2f}",
        "p99 ms": lambda speed: f"{speed.infer_latency_p99_ms:,.2f}",
        "GiB": lambda speed: _gibibytes(speed.peak_memory_bytes),
        "compile s": lambda speed: f"{speed.compile_seconds:.1f}",
    },
    PeerSpeed: {
        "model": lambda speed: speed.model,
        "size": lambda speed: str(speed.image_size),
        "batch": lambda speed: str(speed.batch_size),
        "train img/s": lambda speed: f"{speed.train_images_per_second:,.1f}",
        "PyTorch train": lambda speed: f"{speed.peer_train_images_per_second:,.1f}",
        "train ratio": lambda speed: _ratio(
            speed.train_ratio, speed.train_ratio_low, speed.train_ratio_high
        ),
        "infer img/s": lambda speed: f"{speed.infer_images_per_second:,.1f}",
        "PyTorch infer": lambda speed: f"{speed.peer_infer_images_per_second:,.1f}",
        "infer ratio": lambda speed: _ratio(
            speed.infer_ratio, speed.infer_ratio_low, speed.infer_ratio_high
        ),
        "load before turns": lambda speed: speed.load_before_turns,
        "measured": lambda speed: (
            "alone" if speed.alone else "beside other work: the ratios say nothing"
        ),
    },
    Roofline: {
        "model": lambda roofline: roofline.model,
        "step": lambda roofline: "training" if roofline.kind == "train" else "inference",
        "size": lambda roofline: str(roofline.image_size),
        "batch": lambda roofline: str(roofline.batch_size),
        "ms": lambda roofline: f"{roofline.step_ms:,.2f}",
        "TFLOP": lambda roofline: f"{roofline.flops / 1e12:,.2f}",
        "bound ms": lambda roofline: f"{roofline.flops_bound_ms:,.2f}",
        "reached": lambda roofline: f"{roofline.flops_share:.0%}",
        "GB": lambda roofline: f"{roofline.bytes_moved / 1e9:,.1f}",
        "bound by bytes ms": lambda roofline: f"{roofline.bytes_bound_ms:,.2f}",
        "of bandwidth": lambda roofline: f"{roofline.bytes_share:.0%}",
    },
    Cost: {
        "model": lambda cost: cost.model,
        "step": lambda cost: "training" if cost.kind == "train" else "inference",
        "stage": lambda cost: cost.stage,
        "layer": lambda cost: cost.layer,
        "ms": lambda cost: f"{cost.milliseconds:,.2f}",
        "share": lambda cost: f"{cost.share:.1%}",
    },
    InputSpeed: {
        "reader": lambda speed: speed.reader,
        "stage": lambda speed: speed.stage,
        "workers": lambda speed: (
            "1 thread" if speed.stage in _ONE_THREAD else _workers(speed.workers)
        ),
        "images/s": lambda speed: f"{speed.images_per_second:,.0f}",
    },
    Waiting: {
        "model": lambda waiting: waiting.model,
        "batch": lambda waiting: str(waiting.batch_size),
        "workers": lambda waiting: _workers(waiting.workers),
        "train img/s": lambda waiting: f"{waiting.train_images_per_second:,.1f}",
        "waiting for data": lambda waiting: f"{waiting.input_wait_share:.1%}",
    },
    LoopOverhead: {
        "model": lambda overhead: overhead.model,
        "size": lambda overhead: str(overhead.image_size),
        "batch": lambda overhead: str(overhead.batch_size),
        "bare step ms": lambda overhead: f"{overhead.bare_step_ms:,.2f}",
        "in the loop ms": lambda overhead: f"{overhead.loop_step_ms:,.2f}",
        "overhead": lambda overhead: f"{overhead.overhead:.1%}",
    },
    RecognitionSpeed: {
        "model": lambda speed: speed.model,
        "size": lambda speed: str(speed.image_size),
        "pictures": lambda speed: f"{speed.pictures:,}",
        "seconds": lambda speed: f"{speed.seconds:.3f}",
        "the model alone": lambda speed: f"{speed.model_seconds:.3f}",
        "its share": lambda speed: f"{speed.model_share:.0%}",
    },
    LaunchSpeed: {
        "launcher": lambda speed: speed.launcher,
        "nodes": lambda speed: str(speed.nodes),
        "runs": lambda speed: str(speed.runs),
        "each sleeps s": lambda speed: f"{speed.seconds_a_run:.1f}",
        "total s": lambda speed: f"{speed.total_seconds:.1f}",
        "runs/min": lambda speed: f"{speed.runs_per_minute:.1f}",
        "added s a run": lambda speed: f"{speed.added_seconds:.2f}",
    },
    StartSpeed: {
        "cache": lambda speed: speed.cache,
        "model": lambda speed: speed.model,
        "compile s": lambda speed: _seconds(speed.compile_seconds),
        "evaluate s": lambda speed: _seconds(speed.evaluation_seconds),
        "rest s": lambda speed: _seconds(speed.rest_seconds),
        "all s": lambda speed: _seconds(speed.seconds),
    },
}
