"""The mistakes that users of models can make, each said in one short sentence."""

from collections.abc import Callable, Sequence

from isobudget.errors import UserError

LONGEST = 300  # characters of a message


class ModelError(UserError):
    """A model's name, option, input or weights that cannot be, said in one sentence."""


def shorten(text: str, most: int) -> str:
    """Returns `text` on one line, with its middle left out if it has more than `most` characters."""
    text = " ".join(text.splitlines())
    if len(text) <= most:
        return text
    begin = (most - 1) // 2
    return f"{text[:begin]}…{text[len(text) - (most - 1 - begin) :]}"


def quoted(value: object) -> str:
    """Returns a value as it was given, between quotes and without an escape but for what cannot be printed."""
    text = digits(value) if isinstance(value, int) else str(value)
    text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return f"'{shorten(text, 60)}'"


def digits(number: int) -> str:
    """Returns a whole number as text; of one that is absurdly long, Python would make none."""
    return str(number) if abs(number) < 10**30 else "a number of more than 30 digits"


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
