"""Names of files that are not UTF-8, as Python hands them on: with surrogates, which cannot be printed or hashed."""

import os


def printable(path: str | os.PathLike[str]) -> str:
    r"""Returns a path for people, JSON and drawings; a byte that is no UTF-8 is written as `\xe9`."""
    return encoded(path).decode("utf-8", "backslashreplace")


def encoded(path: str | os.PathLike[str]) -> bytes:
    """Returns a path's bytes, those of its name on disk."""
    return os.fspath(path).encode("utf-8", "surrogateescape")
