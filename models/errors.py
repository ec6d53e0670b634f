"""The mistakes that users of models can make, each said in one short sentence."""

from collections.abc import Callable, Sequence

from isobudget.errors import UserError
from isobudget.wording import shorten

LONGEST = 300  # characters of a message


class ModelError(UserError):
    """A model's name, option, input or weights that cannot be, said in one sentence."""


def enumerate_names(names: Sequence[str], most: int) -> str:
    """Returns the first `most` names with commas between them, and how many more there are."""
    listed = ", ".join(names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed


def fitting(sentence: Callable[[int], str]) -> str:
    """Returns a sentence of at most `LONGEST` characters with as many names as fit.

    Args:
      sentence: returns the sentence with at most so many names in each of its lists.
    """
    for most in (100, 10, 5, 3, 2):
        if len(text := sentence(most)) <= LONGEST:
            return text
    return shorten(sentence(1), LONGEST)
