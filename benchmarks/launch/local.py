"""One worker of a suite: the runs that nobody else is at, each in a process of its own."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

import models
from benchmarks import configs
from benchmarks.cli import progress
from benchmarks.config import stored
from benchmarks.launch import locks
from benchmarks.launch.display import Display
from benchmarks.machine import preemption, startup
from benchmarks.runs.folder import claim_directory
from benchmarks.runs.plan import Run
from benchmarks.runs.record import now, planned_record
from results import records

# How often a worker looks whether the runs of its shard that others are at have ended.
_POLL_SECONDS = 2.0


class StoppedError(Exception):
    """The suite was told to stop (SIGTERM); the run it was at has saved itself."""


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run as a worker sees it: of its own shard or not; a record older than `since` does not end it."""

    run: Run
    own: bool
    since: float

    def ended(self) -> records.RunRecord | None:
        """Returns the run's record if nothing is left to do."""
        path = self.run.workdir / "record.json"
        if not path.exists():
            return None
        record = records.read(path)
        return (
            record if record.status == "completed" or path.stat().st_mtime >= self.since else None
        )


def work(
    mine: list[Run], others: list[Run], began: float, display: Display
) -> dict[Path, records.RunRecord]:
    """Does what nobody else is at until all of `mine` have ended; returns these records, and its own, by folder.

    Of `mine`, runs that failed before this worker began are done again; of `others`, those without any record.
    """
    made: dict[Path, records.RunRecord] = {}
    left = [_Task(each, True, began) for each in mine]
    left += [_Task(each, False, 0.0) for each in others]
    while True:
        waiting = []
        for task in left:
            ended = task.ended()
            record = ended or _take_up(task, display)
            if record is None:
                waiting.append(task)
            elif task.own or not ended:
                made[task.run.workdir] = record
                display.end(record)
        if not any(task.own for task in waiting):
            return made
        left = waiting
        time.sleep(_POLL_SECONDS)


def _take_up(task: _Task, display: Display) -> records.RunRecord | None:
    """Returns the run's record after training it; None where another worker is at it."""
    directory = task.run.workdir
    claim = locks.take(directory)
    if claim is None:
        return None
    with claim:
        # It may have ended between the look and the claim.
        record = task.ended()
        if record is None:
            display.begin(_title(task.run.config), extra=not task.own)
            record = _run_in_process(task.run, claim, display.update)
    if record and record.status == "completed":
        locks.clear(directory)
    return record


def _run_in_process(
    each: Run, claim: locks.Claim, update: Callable[[progress.Event], None]
) -> records.RunRecord | None:
    """Trains one run in a process of its own and returns its record, or one that says how the process died.

    None if the claim was lost: then the run is another worker's.
    """
    started = now()
    claim_directory(each.workdir, "config.json", stored.to_plain(each.config))
    path = each.workdir / "record.json"
    path.unlink(missing_ok=True)
    from_json = Path(configs.__file__).with_name("from_json.py")
    arguments = [
        *(sys.executable, "-m", "benchmarks.train", "--progress=json"),
        f"--config={from_json}:{each.workdir / 'config.json'}",
        f"--workdir={each.workdir}",
    ]
    environment = startup.with_allocator(dict(os.environ))
    with (each.workdir / "log.txt").open("a") as log:
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        claim.on_lost = process.kill
        try:
            for line in process.stdout:
                event = progress.parse(line)
                if event:
                    update(event)
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if claim.lost:
        return None
    if path.exists():
        return records.read(path)
    if status == preemption.AGAIN_STATUS:
        raise StoppedError
    how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
    record = dataclasses.replace(
        planned_record(each, started, "crashed"),
        error=f"The process ended {how}; see {each.workdir.name}/log.txt.",
    )
    records.write(record, path)
    return record


def _title(config: ConfigDict) -> str:
    return f"{models.label(*models.parse(config.model))} seed {config.seed}"


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Turns SIGTERM into `StoppedError`, where this is the main thread, which alone may listen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise StoppedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
