"""One run after another on this machine, each in a process of its own."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from benchmarks.launch import outcome, process
from benchmarks.launch.display import Display
from benchmarks.launch.stopping import StoppedError
from benchmarks.runs.plan import Run
from results import records


class LocalLauncher:
    """Does one run after another."""

    def __init__(self, module: str = process.TRAIN):
        """Takes what each process runs, see `process.Order`."""
        self._module = module

    def __enter__(self) -> "LocalLauncher":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def check(self, runs: Sequence[Run], workdir: Path) -> None:
        pass  # one run at a time shares nothing

    def train(
        self, runs: Sequence[Run], display: Display, before_one_begins: Callable[[], None]
    ) -> Generator[tuple[Run, records.RunRecord]]:
        for run in runs:
            before_one_begins()
            display.begin(run)
            started = outcome.begin(run)
            record = outcome.record_of(run, started, self._ended(run, display))
            if record is None:
                raise StoppedError  # the run was, by somebody else
            yield run, record

    def _ended(self, run: Run, display: Display) -> process.Ended:
        """Returns how the run's process ended, after passing on its progress."""
        order = process.Order(run.workdir.absolute(), module=self._module)
        with contextlib.closing(process.train(order)) as events:
            for event in events:
                if isinstance(event, process.Ended):
                    return event
                display.update(run, event)
        raise AssertionError("a process always says how it ended")
