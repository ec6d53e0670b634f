"""The one error a reader of data meets, and the sentence for a name that is not known."""

import difflib
from collections.abc import Iterable

from isobudget.errors import UserError


class DataError(UserError):
    """Data that cannot be had as asked; its message is one sentence fit to show a user."""


class AugmentationError(DataError):
    """A crop or change that cannot do what it was told, or returns what it may not: no fault of the picture's."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, known_label: str = "") -> DataError:
    """Returns the error for `name`, saying which names are known and which come close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3)
    hint = f", did you mean {' or '.join(close)}?" if close else ""
    listed = known_label or ", ".join(known) or "none"
    return DataError(f"unknown {kind} {name!r}{hint} (known: {listed})")
