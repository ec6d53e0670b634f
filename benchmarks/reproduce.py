"""Runs a row of a table again from its record, and says whether the same comes out.

    python -m benchmarks.reproduce runs/digits/runs/squeezenet1_1-seed0/record.json
    python -m benchmarks.reproduce RECORD.json --steps=50

Checks out nothing and changes nothing: it says in what software, code, hardware and data differ from the record's, and
runs it in a folder of its own. With `--steps=N` it stops after the first N steps, whose schedule is that of the whole
run, and compares what was logged on the way with the `metrics.jsonl` beside the record.

It ends as `bit-identical` or `within the seeds' interval` (exit status 0) or as `different` (1); docs/reproducing.md
says what that means.
"""

import contextlib
import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from benchmarks import (
    commands,
    execution,
    loop,
    preemption,
    progress,
    provenance,
    reproduction,
    runs,
    train,
)
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from results import files, records


def reproduce(
    path: str | Path,
    *,
    steps: int | None = None,
    workdir: str | Path | None = None,
    data_dir: str | None = None,
    reporter: progress.Reporter | None = None,
    tell: Callable[[provenance.Difference], None] = lambda difference: None,
) -> reproduction.Reproduction:
    """Runs a record again and returns how it compares.

    Args:
      path: a `record.json`; nothing is written beside it.
      steps: how many of the run's first steps; all unless given.
      workdir: where it is run, a folder of its own that is kept; a temporary one unless given.
      data_dir: where prepared datasets lie here; where the record's configuration says unless given.
      reporter: is told where the run is.
      tell: is called with each difference of the surroundings, before anything is trained.

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
        run = runs.prepare(config, folder)
        if steps is not None:
            _check_steps(steps, run, path)
        differences = provenance.differences(record, run)
        for difference in differences:
            tell(difference)
        if steps is None:
            again = train.train_and_evaluate(config, folder, reporter=reporter)
            found = reproduction.compare_runs(path, record, again)
        else:
            found = reproduction.compare_steps(
                path, record, _first_steps(run, steps, reporter), steps
            )
    return dataclasses.replace(found, differences=tuple(differences))


def _configuration(path: Path, record: records.RunRecord, data_dir: str | None) -> ConfigDict:
    config = config_lib.resolved(config_lib.load(path))
    if data_dir is not None:
        config.data_dir = data_dir
    if record.accumulation:  # more parts than were asked for, where memory ran out
        config.accumulation = record.accumulation
    if config.budget.kind == "seconds" and record.budget.steps:
        # The seconds of this machine would buy another number of steps.
        config.budget.kind = "examples"
        config.budget.amount = float(record.budget.steps * record.budget.batch_size)
    return config


@contextlib.contextmanager
def _folder(workdir: str | Path | None, path: Path) -> Iterator[Path]:
    """Gives the folder to run in, and removes it where none was asked for."""
    if workdir is None:
        with tempfile.TemporaryDirectory(prefix="reproduce-") as folder:
            yield Path(folder)
        return
    folder = Path(workdir)
    if path.resolve().parent in (folder.resolve(), *folder.resolve().parents):
        raise ConfigError(f"--workdir={workdir} is where the record lies; choose another.")
    if (folder / "record.json").exists():
        raise ConfigError(f"--workdir={workdir} holds a finished run; choose another.")
    yield folder


class _StopsAt(preemption.Notice):
    """Tells a run to stop after so many steps, as a machine that is taken away would."""

    def __init__(self, step: int):
        super().__init__()
        self._step = step

    def given(self, step: int) -> bool:
        return step >= self._step or super().given(step)


def _check_steps(steps: int, run: runs.Run, path: Path) -> None:
    if not 0 < steps < (run.budget.steps or math.inf):
        raise ConfigError(
            f"--steps is from 1 to below the {run.budget.steps} steps of the run, not {steps}."
        )
    logged = reproduction.logged(path.parent)
    if not logged:
        raise ConfigError(f"--steps needs the metrics.jsonl of the run beside {path}.")
    first = min(end for _, end in logged)
    if first > steps:
        raise ConfigError(f"the run logged nothing before step {first}: --steps is at least that.")


def _first_steps(
    run: runs.Run, steps: int, reporter: progress.Reporter | None
) -> reproduction.Logged:
    """Trains the first steps and returns what was logged."""
    run.workdir.mkdir(parents=True, exist_ok=True)
    accumulation = run.config.accumulation
    with (
        _StopsAt(steps) as notice,
        reporter or progress.create("lines", run.config.model) as reporter,
    ):
        try:
            execution.execute(run, runs.now(), accumulation, None, notice, reporter)
        except preemption.PreemptedError as stopped:
            if stopped.step < steps:
                raise
        except loop.DivergedError:
            pass  # what was logged says so
    return reproduction.logged(run.workdir)


def define_flags() -> None:
    flags.DEFINE_integer("steps", None, "Only the first so many steps; the whole run by default.")
    flags.DEFINE_string(
        "workdir", None, "A folder to run in and to keep; by default one that is removed."
    )
    flags.DEFINE_string(
        "data_dir", None, "Where prepared datasets lie here, if not where the record says."
    )
    flags.DEFINE_string("out", None, "Also write the comparison to this JSON file.")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        raise ConfigError("name one record: python -m benchmarks.reproduce RECORD.json.")
    commands.restart_with_allocator()
    commands.use_compilation_cache()
    given = flags.FLAGS
    try:
        found = reproduce(
            arguments[0],
            steps=given.steps,
            workdir=given.workdir,
            data_dir=given.data_dir,
            tell=lambda difference: print(difference, flush=True),
        )
    except preemption.PreemptedError as stopped:
        print(stopped, file=sys.stderr)
        return preemption.AGAIN_STATUS
    if not found.differences:
        print("software, code, hardware and data are those of the record")
    print(reproduction.describe(found))
    if given.out:
        files.write_atomically(
            Path(given.out), json.dumps(dataclasses.asdict(found), indent=2) + "\n"
        )
    return int(found.verdict == reproduction.DIFFERENT)


if __name__ == "__main__":
    commands.run(main, define_flags, takes_arguments=True)
