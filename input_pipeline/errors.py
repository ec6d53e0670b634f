"""The errors of this package, and the sentence for a name that is not known."""

import difflib
from collections.abc import Iterable

from isobudget.errors import UserError
from isobudget.wording import quoted


class DataError(UserError):
    """Data cannot be read or prepared as asked; the message is one sentence for the user."""


class AugmentationError(DataError):
    """A crop or change has a wrong option or result; unlike other `DataError`s, no picture is to blame."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, known_label: str = "") -> DataError:
    """Returns the error for an unknown `name`, with the known names and the closest of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3)
    hint = f", did you mean {' or '.join(close)}?" if close else ""
    listed = known_label or ", ".join(known) or "none"
    return DataError(f"unknown {kind} {quoted(name)}{hint} (known: {listed})")
