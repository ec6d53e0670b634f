"""What a run's folder says before its process begins and after it has ended, the same on one machine and on many."""

import dataclasses
import errno
import os

from benchmarks.cli import progress
from benchmarks.errors import HostBusyError
from benchmarks.launch.process import Ended
from benchmarks.machine import preemption
from benchmarks.runs.claim import claim_run, is_evaluated_otherwise
from benchmarks.runs.folder import LOG_FILE
from benchmarks.runs.plan import Run
from benchmarks.runs.record import finished_record, now, planned_record
from results import records


def kept(run: Run) -> records.RunRecord | None:
    """Returns the run's record if nothing is left to do: it completed, and is evaluated as its configuration says."""
    record = finished_record(run.workdir)
    if record and is_evaluated_otherwise(run.workdir, run.config):
        return None
    return record


def begin(run: Run) -> str:
    """Claims the run's folder, removes what an earlier failure left as its record, and returns when it began."""
    claim_run(run.workdir, run.config)
    records.path_in(run.workdir).unlink(missing_ok=True)
    return now()


def record_of(run: Run, started: str, ended: Ended) -> records.RunRecord | None:
    """Returns the run's record once a process of it has ended; None if the run was told to stop and must go on.

    A process that wrote no record has died by a fault of its own: a record that says how is written in its place.

    Raises:
      OSError: the disk is full.
      HostBusyError: its budget is in seconds, and another run is on its host.
    """
    path = records.path_in(run.workdir)
    if path.exists():
        return records.read(path)
    if ended.phase == progress.NO_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.workdir))
    if ended.phase.startswith(progress.BUSY):
        raise HostBusyError(ended.phase.removeprefix(progress.BUSY))
    if ended.told or ended.status == preemption.AGAIN_STATUS:
        return None
    if ended.out_of_memory:
        return failed(run, started, "out_of_memory", "The machine ran out of memory and ended it")
    how = f"by signal {-ended.status}" if ended.status < 0 else f"with exit status {ended.status}"
    return failed(run, started, "crashed", f"The process ended {how}")


def failed(run: Run, started: str, status: records.Status, how: str) -> records.RunRecord:
    """Returns the record of a run whose process could not write one, after writing it.

    Args:
      run, started: which run, and when it began.
      status: how it ended.
      how: the same in words, without a full stop.
    """
    record = dataclasses.replace(
        planned_record(run, started, status), error=f"{how}; see {run.workdir.name}/{LOG_FILE}."
    )
    records.write(record, records.path_in(run.workdir))
    return record
