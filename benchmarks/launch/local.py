"""One worker of a suite: it does every run that no other worker is doing, each in a process of its own."""

import contextlib
import dataclasses
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import configs
from benchmarks.cli import progress
from benchmarks.launch import locks
from benchmarks.launch.display import Display
from benchmarks.machine import preemption, startup
from benchmarks.runs.claim import claim_run, is_evaluated_otherwise
from benchmarks.runs.folder import CONFIG_FILE, LOG_FILE
from benchmarks.runs.plan import Run
from benchmarks.runs.record import now, planned_record
from results import records

# How often a worker checks whether other workers have finished the runs of its shard that they took.
_POLL_SECONDS = 2.0


class StoppedError(Exception):
    """The suite was told to stop (SIGTERM), and the run under way has saved its state."""


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run as a worker sees it.

    Attributes:
      run: what there is to do.
      own: whether it belongs to the worker's own shard.
      since: a failed run whose record is older than this is done again.
    """

    run: Run
    own: bool
    since: float

    def ended(self) -> records.RunRecord | None:
        """Returns the run's record if nothing is left to do."""
        path = records.path_in(self.run.workdir)
        if not path.exists():
            return None
        record = records.read(path)
        if record.status != "completed":
            return record if path.stat().st_mtime >= self.since else None
        return None if is_evaluated_otherwise(self.run.workdir, self.run.config) else record


def work(
    mine: list[Run],
    others: list[Run],
    began: float,
    display: Display,
    when_one_ends: Callable[[], None] = lambda: None,
    before_one_begins: Callable[[], None] = lambda: None,
) -> dict[Path, records.RunRecord]:
    """Does every run that no other worker is doing until all of `mine` have ended.

    Args:
      mine: the runs of this worker's shard; those that failed before it began are done again.
      others: the runs of the other shards, which are taken up if they have neither a record nor a worker.
      began: when this worker began, by the clock of the file system.
      display: shows the progress.
      when_one_ends: called after each run that ends.
      before_one_begins: called before each run that this worker begins.

    Returns:
      The records of `mine`, and of the others that this worker did, by folder.
    """
    made: dict[Path, records.RunRecord] = {}
    left = [_Task(each, True, began) for each in mine]
    left += [_Task(each, False, 0.0) for each in others]
    while True:
        waiting = []
        for task in left:
            ended = task.ended()
            record = ended or _take_up(task, display, before_one_begins)
            if record is None:
                waiting.append(task)
            elif task.own or not ended:
                made[task.run.workdir] = record
                display.end(record)
                when_one_ends()
        if not any(task.own for task in waiting):
            return made
        left = waiting
        time.sleep(_POLL_SECONDS)


def _take_up(
    task: _Task, display: Display, before_it_begins: Callable[[], None]
) -> records.RunRecord | None:
    """Returns the run's record after training it; None if another worker is doing it."""
    directory = task.run.workdir
    lock = locks.acquire(directory)
    if lock is None:
        return None
    with lock:
        # It may have ended between the check and the lock.
        record = task.ended()
        if record is None:
            before_it_begins()
            display.begin(task.run.title, extra=not task.own)
            record = _run_in_process(task.run, lock, display.update)
    if record and record.status == "completed":
        locks.clear(directory)
    return record


def _run_in_process(
    run: Run, lock: locks.Lock, update: Callable[[progress.Event], None]
) -> records.RunRecord | None:
    """Trains one run in a process of its own and returns its record, or one that says how the process died.

    None if the lock was lost, because the run is then another worker's.
    """
    started = now()
    claim_run(run.workdir, run.config)
    path = records.path_in(run.workdir)
    path.unlink(missing_ok=True)
    status, phase = _train(run, lock, update)
    if lock.lost:
        return None
    if path.exists():
        return records.read(path)
    if phase == progress.NO_ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.workdir))
    if status == preemption.AGAIN_STATUS:
        raise StoppedError
    how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
    record = dataclasses.replace(
        planned_record(run, started, "crashed"),
        error=f"The process ended {how}; see {run.workdir.name}/{LOG_FILE}.",
    )
    records.write(record, path)
    return record


def _train(run: Run, lock: locks.Lock, update: Callable[[progress.Event], None]) -> tuple[int, str]:
    """Returns the exit status of `benchmarks.train` on the run and its last phase, after passing on its progress."""
    from_json = Path(configs.__file__).with_name("from_json.py")
    arguments = [
        # -P: a folder here that is called as one of the packages must not be taken for it.
        *(sys.executable, "-P", "-m", "benchmarks.train", "--progress=json"),
        f"--config={from_json}:{run.workdir / CONFIG_FILE}",
        f"--workdir={run.workdir}",
    ]
    root = str(Path(configs.__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    environment = startup.with_allocator(os.environ | {"PYTHONPATH": path})
    with (
        (run.workdir / LOG_FILE).open("a") as log,
        subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as process,
    ):
        lock.on_lost = process.kill
        phase = ""
        try:
            for line in process.stdout or ():
                event = progress.parse(line)
                if event:
                    phase = event.phase
                    update(event)
            return process.wait(), phase
        except BaseException:
            process.terminate()
            process.wait()
            raise


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Turns SIGTERM into `StoppedError`; only in the main thread, because no other may listen for signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise StoppedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
