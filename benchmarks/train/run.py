"""One run: trained under its budget, evaluated and recorded, or resumed where it stopped."""

import sys
import traceback
from pathlib import Path

import jax
from ml_collections import ConfigDict

from benchmarks.cli import progress
from benchmarks.config import resolve, stored
from benchmarks.machine import preemption
from benchmarks.runs.folder import claim_directory
from benchmarks.runs.plan import prepare
from benchmarks.runs.record import failed_record, finished_record, now, out_of_memory
from benchmarks.train import attempt, checkpoints
from isobudget.errors import UserError
from results import records


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | Path,
    *,
    reporter: progress.Reporter | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> records.RunRecord:
    """Trains and evaluates one run, resuming where an earlier call was stopped, and returns its record.

    A run that was completed before is not run again. One that diverges, runs out of memory or raises is a record too,
    whose status says so. Where memory runs out, the batch is worked on in twice as many parts, and the record says so.

    Args:
      config: see `benchmarks/config.py`.
      workdir: the run's folder.
      reporter: is told where the run is.
      profile_steps: from which step to which a profiler's trace is written to `workdir/profile`.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
      PreemptedError: the run was told to stop (SIGTERM) and saved; another call goes on.
    """
    run = prepare(resolve.resolved(config), workdir)
    config = run.config
    if jax.process_index() == 0:
        claim_directory(run.workdir, "config.json", stored.to_plain(config))
    finished = finished_record(run.workdir)
    if finished:
        checkpoints.delete_all(run.workdir)
        return finished
    started = now()
    with (
        preemption.Notice() as notice,
        reporter or progress.create("lines", config.model) as reporter,
    ):
        accumulation = config.accumulation
        while True:
            try:
                record = attempt.execute(
                    run, started, accumulation, profile_steps, notice, reporter
                )
                break
            except preemption.PreemptedError:
                raise
            except Exception as error:
                more = _next_accumulation(config, accumulation)
                if out_of_memory(error) and more:
                    print(
                        f"warning: out of memory; working on each batch in {more} parts",
                        file=sys.stderr,
                        flush=True,
                    )
                    accumulation = more
                    continue
                if not isinstance(error, UserError):
                    traceback.print_exc()
                record = failed_record(run, started, error)
                break
        if jax.process_index() == 0:
            records.write(record, run.workdir / "record.json")
            if record.status == "completed":
                checkpoints.delete_all(run.workdir)
        reporter.report(progress.Event("done" if record.status == "completed" else record.status))
    return record


def _next_accumulation(config: ConfigDict, accumulation: int) -> int | None:
    """Returns twice as many parts, where each part still has an example for each device."""
    more = 2 * accumulation
    return None if config.batch_size % (more * jax.device_count()) else more
