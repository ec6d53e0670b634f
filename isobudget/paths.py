"""Folders of the user's: `~` written out, and where caches lie, on machines whose user has no home too."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from isobudget.errors import UserError
from isobudget.wording import quoted_path


def expanded(path: str | os.PathLike[str], instead: str) -> Path:
    """Returns the path with `~` and `~user` written out.

    Args:
      path: as the user wrote it.
      instead: what to give in its place where that is not possible, such as `--data_dir`.

    Raises:
      UserError: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(
            f"there is no home folder for {quoted_path(path)}: give {instead} as a whole path."
        ) from None


def cache_folder() -> Path | None:
    """Returns where this user's caches lie: $XDG_CACHE_HOME, or ~/.cache; None for a user without a home."""
    root = os.environ.get("XDG_CACHE_HOME")
    if root:
        return Path(root)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


@contextlib.contextmanager
def some_home() -> Iterator[None]:
    """Within this, a user without a home has the folder for temporary files: some libraries ask for one on import."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.gettempdir()
        try:
            yield
        finally:
            del os.environ["HOME"]
    else:
        yield


def check_writable(path: str | os.PathLike[str], flag: str = "--out") -> None:
    """Checks that a file can be written, before the work whose result it is to hold.

    Args:
      path: the file; its folder is made.
      flag: what names it.

    Raises:
      UserError: it cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        # Making a folder says of a file in its place that it exists.
        of_a_file = isinstance(error, FileExistsError)
        reason = os.strerror(errno.ENOTDIR) if of_a_file else error.strerror or str(error)
        raise UserError(f"{flag}={os.fspath(path)} cannot be written: {reason}.") from None
