"""Writing a file so that a reader, or a crash, never sees half of it."""

import contextlib
import io
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays by name, compressed, as `np.load` reads them; whole or not at all.

    Raises:
      OSError: as `write_atomically`.
    """
    content = io.BytesIO()
    # The stub takes a name for one of its own arguments.
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_atomically(path, content.getvalue())


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes text (UTF-8) or bytes to `path`, making its folder; the file is there whole or not at all.

    What UTF-8 has no bytes for, of a file's name that is not UTF-8, is written as its number: `\\udce9`.

    It goes to a new file in the same folder (a rename is atomic only within one file system),
    reaches the disk, and only then takes the name.

    Raises:
      OSError: the folder or the file cannot be written; an older file at `path` is then untouched.
    """
    with _written_beside(Path(path), content) as temporary:
        os.replace(temporary, path)
    _sync_folder(Path(path).parent)


def create_atomically(path: str | os.PathLike[str], content: str | bytes) -> bool:
    """Writes text (UTF-8) or bytes to `path` if nothing is there, and says whether it did.

    Of several processes that try at once exactly one does, and none sees half of it.

    Raises:
      OSError: the folder or the file cannot be written.
    """
    path = Path(path)
    if path.exists():
        return False
    with _written_beside(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links; there the last of several processes wins
            os.replace(temporary, path)
    _sync_folder(path.parent)
    return True


@contextlib.contextmanager
def _written_beside(path: Path, content: str | bytes) -> Iterator[Path]:
    """Gives a file with this content in the folder of `path`, which is gone at the end if it has that name still."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        # Not tempfile: its files are private to the user, and machines share these folders.
        with open(temporary, "xb") as file:
            file.write(
                content.encode(errors="backslashreplace") if isinstance(content, str) else content
            )
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` last through a power cut, where the file system can promise it."""
    with contextlib.suppress(OSError):  # network and object-store mounts cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
