"""What the default suite's runs spend beside training, from an empty compilation cache and from a warm one."""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import benchmarks
from benchmarks import configs
from isobudget.errors import UserError
from results import records

BETWEEN, ALL = "between runs", "all"
# As many validations as the default suite's 250 steps have.
_STEPS, _BATCH = 5, 32
_CACHES = ("empty", "warm")


@dataclasses.dataclass(frozen=True)
class StartSpeed:
    """What one run takes beside training, in seconds; or all of a suite, or what is between its runs.

    Attributes:
      cache: whether the compilation cache was `empty` or `warm`.
      model: the model with its options, or `between runs` (planning, starts and ends of processes, tables), or `all`.
      compile_seconds: tracing, compiling and drawing weights; None between runs, as the next two.
      evaluation_seconds: of both splits.
      rest_seconds: the first batches, saving weights, measuring the speed of inference.
      seconds: the sum.
    """

    cache: str
    model: str
    compile_seconds: float | None
    evaluation_seconds: float | None
    rest_seconds: float | None
    seconds: float


def measure(specs: Sequence[str] | None) -> Iterator[StartSpeed]:
    """Yields what each run takes beside training, then what is between them, and their sum; once for each cache.

    Each run has five steps, and is validated as often as those of the default suite.

    Args:
      specs: the models; by default the suite's.

    Raises:
      UserError: a run failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for cache in _CACHES:
            workdir = Path(folder, cache)
            began = time.monotonic()
            status = subprocess.run(
                _command(workdir, specs), env=_environment(Path(folder)), stdout=subprocess.DEVNULL
            ).returncode
            seconds = time.monotonic() - began
            if status:
                raise UserError(f"the suite ended with exit status {status}.")
            made, _ = records.load_all([workdir])
            yield from rows(cache, made, seconds)


def rows(cache: str, made: Sequence[records.RunRecord], seconds: float) -> list[StartSpeed]:
    """Returns a row for each run in the order in which they began, one for what is between them, and one for all.

    Args:
      cache: what the compilation cache was.
      made: the runs' records.
      seconds: how long the whole suite took.
    """
    runs = [_row(cache, each) for each in sorted(made, key=lambda each: each.started_at)]
    trained = sum(each.timings.train_seconds or 0.0 for each in made)
    within = sum(run.seconds for run in runs)
    between = StartSpeed(cache, BETWEEN, None, None, None, seconds - trained - within)
    compiling, evaluation, rest = (
        sum(getattr(run, f"{part}_seconds") for run in runs)
        for part in ("compile", "evaluation", "rest")
    )
    return [
        *runs,
        between,
        StartSpeed(cache, ALL, compiling, evaluation, rest, seconds - trained),
    ]


def _row(cache: str, record: records.RunRecord) -> StartSpeed:
    timings = record.timings
    compiling, evaluation = timings.compile_seconds or 0.0, timings.evaluation_seconds or 0.0
    seconds = (timings.total_seconds or 0.0) - (timings.train_seconds or 0.0)
    return StartSpeed(
        cache, record.model.label, compiling, evaluation, seconds - compiling - evaluation, seconds
    )


def _command(workdir: Path, specs: Sequence[str] | None) -> list[str]:
    config = Path(configs.__file__).with_name("digits.py")
    return [
        # -P: as where a run's own process is started (`launch.process`).
        *(sys.executable, "-P", "-m", "benchmarks.suite"),
        f"--config={config}",
        f"--workdir={workdir}",
        f"--config.budget.amount={_STEPS * _BATCH}",
        f"--config.batch_size={_BATCH}",
        "--config.validate_every_steps=1",
        *([f"--models={','.join(specs)}"] if specs else []),
    ]


def _environment(folder: Path) -> dict[str, str]:
    """Returns the suite's environment, with a compilation cache in this folder."""
    root = str(Path(benchmarks.__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
