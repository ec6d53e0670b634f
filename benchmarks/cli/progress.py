"""A run's progress: a bar in a terminal, lines in a log file, or JSON lines for the suite that started the run.

A run reports `Event`s, and a `Reporter` shows them.
"""

import dataclasses
import json
import os
import select
import signal
import sys
import threading
import time
from typing import IO, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

# The phase of a run that a full disk ended.
NO_ROOM = "no room on the disk"
# How the phase of a run begins that found its host busy; the sentence that says so follows.
BUSY = "host busy: "
KINDS = ("auto", "bar", "lines", "json")
_SECONDS_BETWEEN_LINES = 10.0
# Characters; narrower, the numbers have what there is.
_WIDTH_FOR_A_BAR = 120


@dataclasses.dataclass(frozen=True)
class Event:
    """How far a run has come.

    Attributes:
      phase: `compiling`, `training`, `evaluating`, `done`, or a sentence.
      step: steps done.
      steps: steps in all.
      loss: the latest that was fetched.
      images_per_second: the mean speed of training so far.
    """

    phase: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    images_per_second: float | None = None

    def describe(self) -> str:
        """Returns phase, loss and speed as one short text."""
        parts = [self.phase]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.images_per_second is not None:
            parts.append(f"{self.images_per_second:,.0f} images/s")
        return ", ".join(parts)


class Reporter(Protocol):
    """Shows a run's events; a context manager."""

    def __enter__(self) -> "Reporter": ...
    def __exit__(self, *exception) -> None: ...
    def report(self, event: Event) -> None: ...


class Bar:
    """A live bar in a terminal."""

    def __init__(self, title: str):
        self._progress = run_bar(Console(stderr=True))
        self._task = self._progress.add_task(title, total=1, detail="")

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def report(self, event: Event) -> None:
        show(self._progress, self._task, event)


class Lines:
    """A line at each change of phase, and one every ten seconds while training: for log files."""

    def __init__(self, title: str, stream: IO[str] | None = None):
        self._title = title
        self._stream = stream or sys.stderr
        self._phase = ""
        self._last = 0.0

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exception) -> None:
        self._stream.flush()

    def report(self, event: Event) -> None:
        now = time.monotonic()
        if event.phase == self._phase and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._phase, self._last = event.phase, now
        where = f" {event.step}/{event.steps}" if event.steps else ""
        print(f"{self._title}{where} {event.describe()}", file=self._stream, flush=True)


class JsonLines:
    """Each event as a line of JSON on standard output, for the suite to read.

    If the suite is killed, so that nobody reads them any more, the process ends at once: it must not write into a run
    that another process may be doing again.
    """

    def __enter__(self) -> "JsonLines":
        self._ended = threading.Event()
        threading.Thread(target=self._end_with_reader, daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self._ended.set()

    def report(self, event: Event) -> None:
        try:
            print(json.dumps(dataclasses.asdict(event)), flush=True)
        except BrokenPipeError:
            os.kill(os.getpid(), signal.SIGKILL)

    def _end_with_reader(self) -> None:
        try:
            pipe = select.poll()
            pipe.register(sys.stdout.fileno(), 0)
        except (OSError, ValueError):
            return  # a stream of Python's own
        while not self._ended.is_set():
            if any(event & select.POLLERR for _, event in pipe.poll(1000)):
                os.kill(os.getpid(), signal.SIGKILL)


def create(kind: str, title: str) -> Reporter:
    """Returns the reporter of that kind; `auto` is a bar if standard error is a terminal, otherwise lines."""
    if kind == "json":
        return JsonLines()
    if kind == "bar" or (kind == "auto" and sys.stderr.isatty()):
        return Bar(title)
    return Lines(title)


def parse(line: str) -> Event | None:
    """Returns the event on a line that `JsonLines` printed; None if the line is anything else."""
    try:
        return Event(**json.loads(line))
    except (TypeError, ValueError):
        return None


def run_bar(console: Console) -> Progress:
    """Returns the bar of one run, whose tasks have a `detail` field."""

    def text(template: str) -> TextColumn:
        # Folded where it is too long: an ellipsis would cut numbers.
        return TextColumn(template, markup=False, table_column=Column(overflow="fold"))

    bar = (BarColumn(bar_width=24),) if console.width >= _WIDTH_FOR_A_BAR else ()
    left = (TimeRemainingColumn(),) if bar else ()
    return Progress(
        text("{task.description}"),
        *bar,
        text("{task.completed:.0f}/{task.total:.0f}"),
        *left,
        text("{task.fields[detail]}"),
        console=console,
    )


def show(progress: Progress, task: TaskID, event: Event) -> None:
    """Puts an event on a bar that has a `detail` field."""
    progress.update(task, completed=event.step, total=event.steps or None, detail=event.describe())
