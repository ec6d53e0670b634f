"""What every launcher offers: planned runs in, their records out, and their progress on the display."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.launch import outcome
from benchmarks.launch.display import Display
from benchmarks.launch.stopping import stopped_by_sigterm
from benchmarks.runs.plan import Run
from results import records


class Launcher(Protocol):
    """Gets runs done; a context manager, which lets go at its end of whatever it does them on."""

    def __enter__(self) -> "Launcher": ...
    def __exit__(self, *exception: object) -> None: ...

    def check(self, runs: Sequence[Run], workdir: Path) -> None:
        """Checks that it can do these runs, all of which lie below `workdir`.

        Raises:
          ConfigError: one sentence on why not; no run has begun.
        """

    def train(
        self, runs: Sequence[Run], display: Display, before_one_begins: Callable[[], None]
    ) -> Generator[tuple[Run, records.RunRecord]]:
        """Yields each run with its record as it ends, whatever its end was.

        If it is closed or interrupted on the way, the runs under way are told to save their state and stop, and have
        ended by then.
        """


def launch(
    runs: Sequence[Run],
    launcher: Launcher,
    display: Display,
    when_one_ends: Callable[[], None] = lambda: None,
    before_one_begins: Callable[[], None] = lambda: None,
) -> dict[Path, records.RunRecord]:
    """Gets every run done that is not, and returns the records by folder.

    Completed runs of earlier commands are kept, and failed ones are done again.

    Args:
      runs: in the order in which they begin.
      launcher: entered.
      display: shows the progress.
      when_one_ends: called after each run that ends.
      before_one_begins: called before each run that begins.

    Raises:
      StoppedError: on SIGTERM.
      HostBusyError: a budget of seconds would share its host with another run.
      OSError: a disk is full.
    """
    made: dict[Path, records.RunRecord] = {}
    left = []
    for run in runs:
        record = outcome.kept(run)
        if record:
            made[run.workdir] = record
            display.end(run, record)
        else:
            left.append(run)
    with (
        stopped_by_sigterm(),
        contextlib.closing(launcher.train(left, display, before_one_begins)) as ending,
    ):
        for run, record in ending:
            made[run.workdir] = record
            display.end(run, record)
            when_one_ends()
    return made
