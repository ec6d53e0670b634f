"""How values that come from users are written in sentences: as they were given, and not as Python writes them."""

import os
from collections.abc import Mapping

_LONGEST = 60  # characters of a value
_LONGEST_PRINTED = 10**4000  # Python makes no text of numbers that are a little longer
_MOST_DIGITS = 17  # that a float has
_SURROGATES = 0xDC00  # where Python puts the bytes of a file's name that are no UTF-8


def quoted(value: object) -> str:
    """Returns a value as it was given, between quotes and without an escape but for what cannot be printed."""
    text = digits(value) if isinstance(value, int) else str(value)
    return f"'{shorten(escaped(text), _LONGEST)}'"


def quoted_path(path: str | os.PathLike[str]) -> str:
    """Returns a path as it was given, whole, between quotes."""
    return f"'{escaped(os.fspath(path))}'"


def shown(value: object) -> str:
    """Returns a value of a configuration or of JSON: text between quotes, numbers, true, null and lists without."""
    return quoted(value) if isinstance(value, str) else shorten(_plain(value), _LONGEST)


def escaped(text: str) -> str:
    """Returns the text with an escape, such as `\\x1b`, for each character that cannot be printed.

    A byte of a file's name that is no UTF-8 is that byte's, `\\xe9`.
    """
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def shorten(text: str, most: int) -> str:
    """Returns `text` on one line, with its middle left out if it has more than `most` characters."""
    text = " ".join(text.splitlines())
    if len(text) <= most:
        return text
    begin = (most - 1) // 2
    return f"{text[:begin]}…{text[len(text) - (most - 1 - begin) :]}"


def exact(value: float, least: int = 6) -> str:
    """Returns a number with as few digits as read back as this number and no other, so that two labels are never one.

    Args:
      value: the number.
      least: how many digits to begin with; zeros at the end are left out.
    """
    for count in range(least, _MOST_DIGITS):
        text = f"{value:.{count}g}"
        if float(text) == value:
            return text
    return f"{value:.{_MOST_DIGITS}g}"


def digits(number: int) -> str:
    """Returns a whole number as text; of one that is absurdly long, Python would make none."""
    return str(number) if abs(number) < 10**30 else "a number of more than 30 digits"


def _escape(character: str) -> str:
    byte = ord(character) - _SURROGATES
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else repr(character)[1:-1]


def _plain(value: object) -> str:
    if isinstance(value, str):
        return f"'{escaped(value)}'"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value) if abs(value) < _LONGEST_PRINTED else digits(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_plain(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return escaped(str(value))
