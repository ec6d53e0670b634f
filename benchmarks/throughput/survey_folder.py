"""The folder of a survey: a table for each kind of measurement, and the machine that all of them were measured on."""

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock

from benchmarks.config import stored
from benchmarks.errors import ConfigError, storage_errors_told
from benchmarks.machine import environment
from benchmarks.runs.record import now
from benchmarks.throughput import tables
from benchmarks.throughput.model_speed import Speed
from benchmarks.throughput.peers import PeerSpeed
from benchmarks.throughput.roofline import Roofline
from isobudget import paths
from isobudget.wording import quoted_path
from results.records import files

Row = PeerSpeed | Roofline | Speed

# By class, the file of its rows.
FILES: dict[type[Row], str] = {
    PeerSpeed: "peers.csv",
    Roofline: "roofline.csv",
    Speed: "models.csv",
}
MACHINE_FILE = "machine.json"
_LOCK = ".throughput.lock"


class SurveyFolder:
    """What a folder has been measured so far; every row is on the disk as soon as it is added.

    Attributes:
      rows: by class, in the order of its file.
    """

    def __init__(self, path: Path):
        """Reads the tables that are there.

        Raises:
          ConfigError: a table cannot be read, or is there without a word on the machine.
        """
        self._path = path
        self.rows: dict[type[Row], list[Any]] = {
            kind: tables.read_csv(kind, self.table(kind)) for kind in FILES
        }
        if any(self.rows.values()) and not (path / MACHINE_FILE).exists():
            raise ConfigError(
                f"{quoted_path(path)} holds tables and no {MACHINE_FILE} that says where they were measured: choose "
                "another --out."
            )

    def table(self, kind: type[Row]) -> Path:
        """Returns the path of a class's table."""
        return self._path / FILES[kind]

    def add(self, kind: type[Row], rows: Sequence[Row]) -> None:
        """Writes one model's rows, all of them or none.

        Raises:
          StorageError: there is no room left on the disk.
        """
        self.rows[kind].extend(rows)
        with storage_errors_told(self._path):
            tables.write_csv(self.rows[kind], self.table(kind))

    def write_machine(self, machine: dict[str, Any]) -> None:
        """Writes what the tables are measured on, and this command, after those before it.

        Args:
          machine: `hardware` and `software` by name.

        Raises:
          ConfigError: they were measured on another machine, or with other versions.
        """
        commit, modified = environment.git()
        here = machine | {"commit": commit}
        command = {
            "began": now(),
            "command": f"python -m benchmarks.throughput {shlex.join(sys.argv[1:])}",
            "modified": modified,
        }
        there = self._machine()
        if there:
            self._check_same(there, here)
            # A package may have been added since, such as PyTorch.
            here["software"] = there["software"] | here["software"]
        content = here | {"commands": [*there.get("commands", ()), command]}
        files.write_atomically(self._path / MACHINE_FILE, json.dumps(content, indent=2) + "\n")

    def _machine(self) -> dict[str, Any]:
        path = self._path / MACHINE_FILE
        try:
            content = json.loads(path.read_text())
            if not {"hardware", "software", "commit", "commands"} <= content.keys():
                raise ValueError
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError):
            raise ConfigError(f"{quoted_path(path)} does not describe a machine.") from None
        return content

    def _check_same(self, there: dict[str, Any], here: dict[str, Any]) -> None:
        for difference in stored.differences(_compared(there, here), _compared(here, there)):
            raise ConfigError(
                f"{quoted_path(self._path)} was measured on another machine or version ({difference}): choose another "
                "--out."
            )


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Makes the folder and holds it for this command; however the command ends, the system lets go of it.

    Raises:
      UserError: it cannot be written, or another command measures into it.
    """
    paths.check_writable(path / MACHINE_FILE)
    lock = filelock.FileLock(path / _LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise ConfigError(
            f"another command measures into {quoted_path(path)}: wait for it, or choose another --out."
        ) from None
    except (OSError, NotImplementedError) as error:
        raise ConfigError(
            f"the file system of {quoted_path(path)} lets no file be locked ({error}); choose another --out."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _compared(machine: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Returns what must be alike: memory may differ a little from start to start, and packages may be missing."""
    hardware = {
        name: value for name, value in machine["hardware"].items() if name != "memory_bytes"
    }
    software = {
        name: value for name, value in machine["software"].items() if name in other["software"]
    }
    return {"commit": machine["commit"], "hardware": hardware, "software": software}
