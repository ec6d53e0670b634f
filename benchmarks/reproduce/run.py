"""Running a record again, whole or only its first steps, and comparing the two."""

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from benchmarks.cli import progress
from benchmarks.config import resolve, stored
from benchmarks.errors import ConfigError, DivergedError
from benchmarks.machine import preemption
from benchmarks.reproduce import comparison, surroundings
from benchmarks.runs import pace
from benchmarks.runs.plan import Run, prepare
from benchmarks.runs.record import now
from benchmarks.steps.compile import Saving
from benchmarks.train import attempt
from benchmarks.train.run import train_and_evaluate
from input_pipeline import datasets
from results import records


def reproduce(
    path: str | Path,
    *,
    steps: int | None = None,
    workdir: str | Path | None = None,
    data_dir: str | None = None,
    reporter: progress.Reporter | None = None,
    tell: Callable[[surroundings.Difference], None] = lambda difference: None,
) -> comparison.Reproduction:
    """Runs a record again and returns how it compares.

    Args:
      path: a `record.json`; nothing is written beside it.
      steps: how many of the run's first steps to repeat; by default all.
      workdir: the folder to run in, which is kept; by default a temporary one.
      data_dir: the directory of prepared datasets here; by default the one in the record's configuration.
      reporter: is told how far the run is.
      tell: called with each difference of the surroundings before anything is trained.

    Raises:
      RecordError: the record cannot be read.
      ConfigError, ModelError, BudgetError, DataError: one sentence on why it cannot be run here.
      PreemptedError: it was told to stop (SIGTERM).
    """
    path = Path(path)
    record = records.read(path)
    if record.status == "crashed":
        raise ConfigError(f"{path}: its process was killed; there is nothing to compare.")
    config = _configuration(path, record, data_dir)
    with _folder(workdir, path) as folder:
        run = prepare(config, folder)
        repeats = _pace(path, record)
        if repeats:
            run = run.repeating(*repeats)
        if steps is not None:
            _check_steps(steps, run, path)
        differences = surroundings.differences(record, run)
        for difference in differences:
            tell(difference)
        if steps is None:
            again = train_and_evaluate(config, folder, reporter=reporter, repeats=repeats)
            compared = comparison.compare_runs(path, record, again)
        else:
            logged = _first_steps(run, steps, reporter)
            compared = comparison.compare_steps(path, record, logged, steps)
    return dataclasses.replace(compared, differences=tuple(differences))


def _configuration(path: Path, record: records.RunRecord, data_dir: str | None) -> ConfigDict:
    config = resolve.resolved(stored.load(path))
    if data_dir is not None:
        config.data_dir = data_dir
        config.dataset = datasets.without_path(config.dataset)
    # What was done beyond what was asked for, if memory ran out.
    if record.accumulation:
        config.accumulation = record.accumulation
    if record.remat is not None:
        config.remat = record.remat
    if config.budget.kind == "seconds" and record.budget.steps and not _pace(path, record):
        # The number of steps was settled beforehand, and the seconds of this machine would buy another.
        config.budget.kind = "examples"
        config.budget.amount = float(record.budget.steps * record.budget.batch_size)
    return config


def _pace(path: Path, record: records.RunRecord) -> tuple[list[pace.Look], int] | None:
    """Returns what looks at the clock told the run, and its number of steps; None if the record is of no such run."""
    looks = pace.read(path.parent) if record.budget.kind == "seconds" else []
    return (looks, record.budget.steps) if looks and record.budget.steps else None


@contextlib.contextmanager
def _folder(workdir: str | Path | None, path: Path) -> Iterator[Path]:
    """Yields the folder to run in, which is removed at the end if none was asked for."""
    if workdir is None:
        with tempfile.TemporaryDirectory(prefix="reproduce-") as temporary:
            yield Path(temporary)
        return
    folder = Path(workdir)
    if path.resolve().parent in (folder.resolve(), *folder.resolve().parents):
        raise ConfigError(f"--workdir={workdir} is where the record is; choose another.")
    if records.path_in(folder).exists():
        raise ConfigError(f"--workdir={workdir} holds a finished run; choose another.")
    yield folder


class _StopsAt(preemption.Notice):
    """Tells a run to stop after this many steps, as if its machine were taken away."""

    def __init__(self, step: int):
        super().__init__()
        self._step = step

    def given(self, step: int) -> bool:
        return step >= self._step or super().given(step)


def _check_steps(steps: int, run: Run, path: Path) -> None:
    if not 0 < steps < (run.budget.steps or math.inf):
        raise ConfigError(
            f"--steps is from 1 to below the {run.budget.steps} steps of the run, not {steps}."
        )
    logged = comparison.logged(path.parent)
    if not logged:
        raise ConfigError(f"--steps needs the metrics.jsonl of the run beside {path}.")
    first = min(end for _, end in logged)
    if first > steps:
        raise ConfigError(f"the run logged nothing before step {first}: --steps is at least that.")


def _first_steps(run: Run, steps: int, reporter: progress.Reporter | None) -> comparison.Logged:
    """Trains the first steps and returns what was logged."""
    run.workdir.mkdir(parents=True, exist_ok=True)
    with (
        _StopsAt(steps) as notice,
        reporter or progress.create("lines", run.config.model) as reporter,
    ):
        try:
            attempt.execute(run, now(), Saving.of(run.config), None, notice, reporter)
        except preemption.PreemptedError as stopped:
            if stopped.step < steps:
                raise
        except DivergedError:
            pass  # the log says so
    return comparison.logged(run.workdir)
