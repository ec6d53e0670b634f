"""The trainings that share this host, so that a speed measured beside others can say so.

Each registers in a folder of the host's own, which every user may write to: a file for each process, named after it,
that says which run it trains. Of a process that is gone, the file counts for nothing.
"""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

FOLDER_VARIABLE = "ISOBUDGET_HOST_FOLDER"
# Looking costs a few file reads: at a step of a millisecond, not each time.
_SECONDS_BETWEEN_LOOKS = 1.0


class Watch:
    """Counts the runs on this host while one is trained here.

    Attributes:
      earlier: the folders of those that were there before it.
      most: the largest number that was seen at once, the run itself included.
    """

    def __init__(self, run: Path, earlier: set[str]):
        self.earlier = earlier
        self.most = 1
        self._run = str(run)
        self._last = -_SECONDS_BETWEEN_LOOKS

    def look(self) -> None:
        """Counts them now, unless that was done a moment ago."""
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LOOKS:
            self._last = time.monotonic()
            self.most = max(self.most, len({self._run, *runs()}))


@contextlib.contextmanager
def registered(run: Path) -> Iterator[Watch]:
    """Lets other trainings on this host see that this process trains the run in that folder."""
    run = run.resolve()
    path = _folder() / str(os.getpid())
    # A host whose folder cannot be written has no neighbors to speak of.
    with contextlib.suppress(OSError):
        _make_folder()
        path.write_text(json.dumps({"run": str(run), "created": _created(os.getpid())}))
    registrations = _registrations()
    mine = max((at for at, name in registrations.items() if name == str(run)), default=(0, 0))
    watch = Watch(run, {name for at, name in registrations.items() if at < mine} - {str(run)})
    watch.look()
    try:
        yield watch
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def runs() -> set[str]:
    """Returns the folders of the runs that are trained on this host."""
    return set(_registrations().values())


def _registrations() -> dict[tuple[int, int], str]:
    """Returns the folder of the run of each process that trains on this host, by when it registered and its number."""
    registrations = {}
    with contextlib.suppress(OSError):
        for path in _folder().iterdir():
            # What somebody else left there, or is writing, counts for nothing.
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                entry = json.loads(path.read_text())
                process = int(path.name)
                # A number is given to another process once it is free, at another time.
                if _created(process) == entry["created"]:
                    registrations[path.stat().st_mtime_ns, process] = str(entry["run"])
    return registrations


def _created(process: int) -> float | None:
    """Returns when a process of this host began, in seconds; None if there is none."""
    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return None


def _folder() -> Path:
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path(tempfile.gettempdir()) / "isobudget-runs"


def _make_folder() -> None:
    folder = _folder()
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)  # every user's, each of whom removes only their own
