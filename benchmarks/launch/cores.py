"""Which of a host's cores each of several runs on it may use, so that they do not fight over the same ones."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock


@contextlib.contextmanager
def allotted(number: int) -> Iterator[frozenset[int]]:
    """Yields so many cores that no other process holds this way; none, which is no limit, if that many are not free.

    However the process ends, the system takes its cores back.
    """
    folder = Path(tempfile.gettempdir()) / f"isobudget-cores-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as held:
        mine: set[int] = set()
        for core in sorted(os.sched_getaffinity(0)):
            if len(mine) == number:
                break
            with contextlib.suppress(filelock.Timeout):
                lock = filelock.FileLock(folder / str(core))
                held.enter_context(lock.acquire(blocking=False))
                mine.add(core)
        yield frozenset(mine if len(mine) == number else ())
