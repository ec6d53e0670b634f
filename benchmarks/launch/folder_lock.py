"""Who may work in a suite's folder: one command at a time, or the shards of one division side by side."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import filelock

from benchmarks.errors import ConfigError
from benchmarks.launch.shards import Shard

# For the moment in which the others' locks are looked at.
_GATE = ".suite.lock"
_GATE_SECONDS = 30.0
_NAME = re.compile(r"\.suite-(\d+)-of-(\d+)\.lock")


@contextlib.contextmanager
def held(workdir: Path, shard: Shard | None = None) -> Iterator[None]:
    """Holds a suite's folder for this command; however the command ends, the system lets go of it.

    Args:
      workdir: the folder, which is there.
      shard: the part of its runs that this command does; by default all.

    Raises:
      ConfigError: another command works there, other than another shard of the same division.
    """
    mine = shard or Shard()
    lock = filelock.FileLock(_path(workdir, mine))
    try:
        with filelock.FileLock(workdir / _GATE, timeout=_GATE_SECONDS):
            lock.acquire(blocking=False)
            try:
                _check_others(workdir, mine)
            except BaseException:
                lock.release()
                raise
    except filelock.Timeout:
        raise _busy(workdir) from None
    except (OSError, NotImplementedError) as error:
        raise ConfigError(
            f"the file system of {workdir} lets no file be locked ({error}); choose another --workdir."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _check_others(workdir: Path, mine: Shard) -> None:
    for path in workdir.glob(".suite-*-of-*.lock"):
        name = _NAME.fullmatch(path.name)
        if name and int(name[2]) != mine.count:
            with filelock.FileLock(path).acquire(blocking=False):
                pass


def _path(workdir: Path, shard: Shard) -> Path:
    return workdir / f".suite-{shard.index}-of-{shard.count}.lock"


def _busy(workdir: Path) -> ConfigError:
    return ConfigError(
        f"another command is at work in {workdir}: wait for it, stop it, or choose another --workdir."
    )
