"""Writing a file so that a reader, or a crash, never sees half of it."""

import contextlib
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays by name, compressed, as `np.load` reads them; whole or not at all.

    Raises:
      OSError: as `write_atomically`.
    """
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes text (UTF-8) or bytes to `path`, making its folder; the file is there whole or not at all.

    It goes to a new file in the same folder (a rename is atomic only within one file system),
    reaches the disk, and only then takes the name.

    Raises:
      OSError: the folder or the file cannot be written; an older file at `path` is then untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        # Not tempfile: its files are private to the user, and machines share these folders.
        with open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` last through a power cut, where the file system can promise it."""
    with contextlib.suppress(OSError):  # network and object-store mounts cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
