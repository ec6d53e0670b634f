"""One run: trained under its budget, evaluated and recorded, or resumed where it stopped."""

import dataclasses
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from benchmarks.cli import progress
from benchmarks.config import resolve
from benchmarks.errors import ConfigError, HostBusyError, is_out_of_room, storage_errors_told
from benchmarks.machine import distributed, memory, neighbors, preemption
from benchmarks.runs import caching, finished_training, normalization, pace, shared_host
from benchmarks.runs.claim import claim_run
from benchmarks.runs.plan import Run, prepare
from benchmarks.runs.record import failed_record, finished_record, now
from benchmarks.steps.compile import Saving
from benchmarks.train import attempt, checkpoints
from isobudget.errors import UserError
from results import records


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | Path,
    *,
    reporter: progress.Reporter | None = None,
    profile_steps: tuple[int, int] | None = None,
    repeats: tuple[Sequence[pace.Look], int] | None = None,
) -> records.RunRecord:
    """Trains and evaluates one run, resuming where an earlier call was stopped, and returns its record.

    A completed run is not run again; if only its evaluation is configured anew, it is evaluated again
    (`benchmarks/runs/claim.py`). One that diverges, runs out of memory or raises an error gets a record too, whose
    status says so. If memory runs out, the insides of stages are computed again for the gradients, which changes no
    result, and then each batch is split into twice as many parts; the record says what was done.

    Args:
      config: see `benchmarks/config/fields.py`.
      workdir: the run's folder.
      reporter: is told how far the run is.
      profile_steps: (first, end) of a profiler trace, the end excluded, which is written to `workdir/profile`.
      repeats: what looks at the clock told an earlier run with a budget of seconds, and its number of steps: the same
        steps are made again, however long they take here.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
      HostBusyError: the budget is in seconds, on a CPU that another run is using.
      StorageError: there is no room left to write to; another call goes on once there is.
      PreemptedError: the run was told to stop (SIGTERM) and has saved its state; another call goes on.
    """
    run = prepare(resolve.resolved(config), workdir)
    if repeats:
        run = run.repeating(*repeats)
    run = caching.with_cached_split(run)
    with storage_errors_told(run.workdir):
        return _claim_and_train(run, reporter, profile_steps)


def _claim_and_train(
    run: Run, reporter: progress.Reporter | None, profile_steps: tuple[int, int] | None
) -> records.RunRecord:
    """Returns the record of the run, which is in the run's folder by then."""
    if jax.process_index() == 0:
        claim_run(run.workdir, run.config)
    distributed.wait_for_all("claimed")  # which may have moved an earlier record away
    finished = finished_record(run.workdir)
    if finished:
        _remove_what_is_over(run.workdir)
        return finished
    with (
        preemption.Notice() as notice,
        reporter or progress.create("lines", run.config.model) as reporter,
        neighbors.registered(run.workdir) as watch,
    ):
        _check_host_is_free(run, watch)
        watch.most = max(watch.most, shared_host.read(run.workdir))
        looking = _Looking(reporter, watch, run.workdir)
        looking.keep()
        record = _until_it_ends(run, profile_steps, notice, looking, watch)
        if record.concurrent_runs:
            most = max(record.concurrent_runs, watch.most)
            record = dataclasses.replace(record, concurrent_runs=most)
        if jax.process_index() == 0:
            records.write(record, records.path_in(run.workdir))
            if record.status == "completed":
                _remove_what_is_over(run.workdir)
        reporter.report(progress.Event("done" if record.status == "completed" else record.status))
    return record


def _check_host_is_free(run: Run, watch: neighbors.Watch) -> None:
    """Checks that a budget of seconds is not shared with another run on the same CPU."""
    if run.budget.kind == "seconds" and not run.repeats and jax.default_backend() == "cpu":
        for other in sorted(watch.earlier):
            raise HostBusyError(
                f"a budget of seconds needs a CPU for itself, and {other} is trained on this host: run the same command"
                " again when it is over."
            )


@dataclasses.dataclass(frozen=True)
class _Looking:
    """A reporter that also looks, at each event, for other runs on this host, and keeps how many there were."""

    reporter: progress.Reporter
    watch: neighbors.Watch
    workdir: Path

    def __enter__(self) -> "_Looking":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def report(self, event: progress.Event) -> None:
        before = self.watch.most
        self.watch.look()
        if self.watch.most > before:
            self.keep()
        self.reporter.report(event)

    def keep(self) -> None:
        """Keeps what was seen for an attempt that resumes the run."""
        if self.watch.most > 1 and jax.process_index() == 0:
            shared_host.write(self.workdir, self.watch.most)


def _remove_what_is_over(workdir: Path) -> None:
    """Removes what a run would have needed to go on: of one that completed, the record and the weights are enough."""
    checkpoints.delete_all(workdir)
    finished_training.remove(workdir)
    shared_host.remove(workdir)


def _until_it_ends(
    run: Run,
    profile_steps: tuple[int, int] | None,
    notice: preemption.Notice,
    reporter: progress.Reporter,
    watch: neighbors.Watch,
) -> records.RunRecord:
    """Returns the record of the run; if training runs out of memory, the next attempt needs less."""
    started = now()
    saving = Saving.of(run.config)
    while True:
        try:
            return attempt.execute(run, started, saving, profile_steps, notice, reporter, watch)
        except preemption.PreemptedError:
            raise
        except Exception as error:
            if is_out_of_room(error):
                raise
            trained = finished_training.find(run.workdir) is not None
            more = None if trained else _next_saving(run, saving)
            if not (memory.is_out_of_memory(error) and more):
                if not isinstance(error, UserError):
                    traceback.print_exc()
                return failed_record(run, started, error)
            how = (
                f"working on each batch in {more.accumulation} parts"
                if saving.remat
                else "keeping the outputs of stages alone, and computing the rest twice"
            )
            print(f"warning: out of memory; {how}", file=sys.stderr, flush=True)
            saving = more


def _next_saving(run: Run, saving: Saving) -> Saving | None:
    """Returns what needs less memory than `saving`; None if nothing does.

    First comes what changes no result, then twice as many parts, if each still has an example for each device, and
    enough for batch norm.
    """
    if not saving.remat:
        return dataclasses.replace(saving, remat=True)
    more = 2 * saving.accumulation
    if run.config.batch_size % (more * jax.device_count()):
        return None
    try:
        normalization.check(run.config, more, jax.device_count())
    except ConfigError:
        return None
    return dataclasses.replace(saving, accumulation=more)
