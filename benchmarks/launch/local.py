"""One run after another on this machine, each in a process of its own."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from benchmarks.launch import outcome, process
from benchmarks.launch.display import Display
from benchmarks.launch.spare import Spare
from benchmarks.launch.stopping import StoppedError
from benchmarks.runs.plan import Run
from results import records


class LocalLauncher:
    """Does one run after another.

    Each has a process of its own. That of the next is started with the one before, and has imported what it needs when
    the first step of that one begins; then it sleeps.
    """

    def __init__(self, module: str = process.TRAIN):
        """Takes what each process runs, see `process.Order`."""
        self._module = module
        self._spare: Spare | None = None

    def __enter__(self) -> "LocalLauncher":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._spare:
            self._spare.close()
        self._spare = None

    def check(self, runs: Sequence[Run], workdir: Path) -> None:
        pass  # one run at a time shares nothing

    def train(
        self, runs: Sequence[Run], display: Display, before_one_begins: Callable[[], None]
    ) -> Generator[tuple[Run, records.RunRecord]]:
        for place, run in enumerate(runs):
            before_one_begins()
            display.begin(run)
            started = outcome.begin(run)
            # Where seconds are the budget, not even imports may take a core at its beginning.
            is_followed = place + 1 < len(runs) and run.budget.kind != "seconds"
            record = outcome.record_of(run, started, self._ended(run, display, is_followed))
            if record is None:
                raise StoppedError  # the run was, by somebody else
            yield run, record

    def _ended(self, run: Run, display: Display, is_followed: bool) -> process.Ended:
        """Returns how the run's process ended, after passing on its progress.

        Args:
          run: which one.
          display: shows the progress.
          is_followed: whether the process of a next run is started too.
        """
        order = process.Order(run.workdir.absolute(), module=self._module)
        spare, self._spare = self._spare, None
        with contextlib.closing(process.train(order, spare=spare)) as events:
            for event in events:
                if isinstance(event, process.Ended):
                    return event
                if is_followed and not self._spare:
                    self._spare = process.ready_spare(self._module)
                display.update(run, event)
        raise AssertionError("a process always says how it ended")
