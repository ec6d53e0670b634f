"""How many runs shared the host of one, kept in its folder so that an attempt that resumes it knows of earlier ones."""

import contextlib
from pathlib import Path

from results.records import files

_FILE = "concurrent_runs.txt"


def write(workdir: Path, most: int) -> None:
    """Writes the largest number of runs that was seen at once on the host, the run itself included."""
    files.write_atomically(workdir / _FILE, f"{most}\n")


def read(workdir: Path) -> int:
    """Returns that number, or 1 where no other run was seen."""
    with contextlib.suppress(OSError, ValueError):
        return int((workdir / _FILE).read_text())
    return 1


def remove(workdir: Path) -> None:
    """Removes the file, once the record says it."""
    (workdir / _FILE).unlink(missing_ok=True)
