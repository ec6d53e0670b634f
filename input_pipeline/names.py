"""Names of files that are not UTF-8, as Python hands them on: with surrogates, which cannot be printed or hashed."""

import os
import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(path: str | os.PathLike[str]) -> str:
    r"""Returns a path for people, JSON and drawings, in one line.

    A byte that is no UTF-8 is written as `\xe9`, a character that moves a terminal's cursor as `\u000a`.
    """
    text = encoded(path).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def encoded(path: str | os.PathLike[str]) -> bytes:
    """Returns a path's bytes, those of its name on disk."""
    return os.fspath(path).encode("utf-8", "surrogateescape")
