"""Locks on runs, so that workers on many machines share a folder and no two do the same run.

A lock is a file `lock-N.json` in the run's folder, which the file system lets one worker alone create (`O_EXCL`, on
NFS too). The highest N counts. Its holder touches it every few seconds; a lock that was released, whose holder is dead
or that nobody has touched for a minute is stale, and whoever creates N + 1 takes over. Numbers only grow, so a stale
lock is taken over once, however many workers see that it is stale, and a holder that was only asleep finds N + 1 and
stops. Ages are measured by the clock of the file system, never by that of a machine.
"""

import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0


class Lock:
    """The right to do a run, which no other process then has; a context manager that releases it at its end.

    Attributes:
      on_lost: called, in another thread, if another worker has taken over.
      lost: whether that has happened.
    """

    def __init__(self, path: Path):
        self.lost = False
        self.on_lost: Callable[[], None] = lambda: None
        self._path = path
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._touch_until_ended, daemon=True)

    def __enter__(self) -> "Lock":
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            os.utime(self._path, (0, 0))  # as old as can be, which is stale

    def _touch_until_ended(self) -> None:
        successor = _path(self._path.parent, _number(self._path) + 1)
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                os.utime(self._path)
                self.lost = successor.exists()
            except FileNotFoundError:
                self.lost = True
            except OSError:
                continue  # a network file system that is away for a moment
            if self.lost:
                self.on_lost()
                return


def acquire(directory: Path) -> Lock | None:
    """Returns the lock on the run in `directory`, or None if another worker has it.

    The run may have ended between the caller's last look and the lock: look again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    latest = _latest(directory)
    if latest and not _is_stale(_path(directory, latest)):
        return None
    path = _path(directory, latest + 1)
    try:
        with path.open("x") as file:
            json.dump(
                {"host": socket.gethostname(), "pid": os.getpid(), "machine": _machine()}, file
            )
    except FileExistsError:
        return None
    return Lock(path)


def clear(directory: Path) -> None:
    """Removes the locks on a completed run, which needs none."""
    for path in directory.glob("lock-*.json"):
        path.unlink(missing_ok=True)


def now(directory: Path) -> float:
    """Returns the time by the clock of the file system that `directory` is on, in seconds."""
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".clock-") as file:
        os.utime(file.name)
        return os.fstat(file.fileno()).st_mtime


def _latest(directory: Path) -> int:
    return max(map(_number, directory.glob("lock-*.json")), default=0)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("lock-"))


def _path(directory: Path, number: int) -> Path:
    return directory / f"lock-{number}.json"


def _is_stale(path: Path) -> bool:
    try:
        # Opened, not only looked up: NFS answers a look-up from its cache.
        with path.open() as file:
            text, touched = file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return False  # cleared: the run was completed
    holder = {}
    with contextlib.suppress(ValueError):  # its holder is writing it, or died writing it
        holder = json.loads(text)
    if holder.get("machine") == _machine() and not psutil.pid_exists(holder["pid"]):
        return True
    return now(path.parent) - touched > STALE_SECONDS


def _machine() -> str:
    """Returns what two processes must share for one to see whether the other is alive: boot and process namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
