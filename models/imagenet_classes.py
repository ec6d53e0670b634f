"""ImageNet's 1,000 classes, in the order of their numbers: the WordNet synset and the words of each.

The words are those that torchvision's weights carry (torchvision/models/_meta.py, BSD 3-Clause), no two of them the
same. TensorFlow's networks (TF-slim's, Coral's) have 1,001 classes, of which the first is the background.
"""

import collections
import re
from collections.abc import Mapping, Sequence
from importlib import resources

from isobudget.wording import quoted
from models.errors import ModelError

_LINES = resources.files(__package__).joinpath("imagenet_classes.tsv").read_text(encoding="utf-8")
SYNSETS, WORDS = zip(*(line.split("\t") for line in _LINES.splitlines()), strict=True)
BACKGROUND = "background"

# Lists of classes by the names that people give them.
IMAGENET, WITH_BACKGROUND = "imagenet", "imagenet_background"
LISTS: Mapping[str, tuple[str, ...]] = {
    IMAGENET: WORDS,
    WITH_BACKGROUND: (BACKGROUND, *WORDS),
}

# A folder of ImageNet's is often called by the synset and the words, as in `n01440764_tench`.
_SYNSET = re.compile(r"(n\d{8})(?![A-Za-z0-9])")
# WordNet has two classes for each of these words. Torchvision tells them apart by the longer name.
_AMBIGUOUS = {"crane": "crane bird", "maillot": "maillot tank suit"}

_BY_SYNSET = {synset: number for number, synset in enumerate(SYNSETS)}
_BY_WORDS = {words: number for number, words in enumerate(WORDS)}


def _plain(words: str) -> str:
    """Returns the first of the words that are separated by commas, as people may write it in a file's name."""
    return " ".join(words.partition(",")[0].replace("_", " ").casefold().split())


_PLAIN_WORDS = [_plain(words) for words in WORDS]
_SHARED_WORDS = {words for words, count in collections.Counter(_PLAIN_WORDS).items() if count > 1}
_BY_PLAIN_WORDS = {
    words: number for number, words in enumerate(_PLAIN_WORDS) if words not in _SHARED_WORDS
}


def list_of(num_classes: int) -> str:
    """Returns which of `LISTS` has this many classes; empty if none has."""
    return next((name for name, names in LISTS.items() if len(names) == num_classes), "")


def name_of(names: Sequence[str]) -> str | tuple[str, ...]:
    """Returns which of `LISTS` these names are; the names themselves if they are none of them."""
    known = (name for name, listed in LISTS.items() if listed == tuple(names))
    return next(known, tuple(names))


def in_words(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names with the words of each in place of its synset if all are synsets; else the names."""
    if not names or not all(name in _BY_SYNSET for name in names):
        return tuple(names)
    return tuple(WORDS[_BY_SYNSET[name]] for name in names)


def numbers(names: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the number, from 0, of the ImageNet class that each name stands for; None if some stands for none.

    Names are all synsets (`n01440764`, `n01440764_tench`), or all words (`great white shark`, `great_white_shark`).

    Raises:
      ModelError: a word that two classes share.
    """
    synsets = [_SYNSET.match(name) for name in names]
    if all(synsets):
        by_synset = [_BY_SYNSET.get(match[1]) for match in synsets if match]
        return _whole(by_synset)
    by_words = [_BY_WORDS.get(name, _BY_PLAIN_WORDS.get(_plain(name))) for name in names]
    whole = _whole(by_words)
    if whole is not None:
        _check_ambiguous(names)
    return whole


def numbers_of_digits(names: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the numbers that the names are, from 0 to 999; None if some is no such number."""
    return _whole(
        [
            int(name) if re.fullmatch(r"[0-9]{1,4}", name) and int(name) < len(WORDS) else None
            for name in names
        ]
    )


def _whole(numbers: Sequence[int | None]) -> tuple[int, ...] | None:
    known = tuple(number for number in numbers if number is not None)
    return known if len(known) == len(numbers) else None


def _check_ambiguous(names: Sequence[str]) -> None:
    plain = {_plain(name) for name in names}
    for name in names:
        longer = _AMBIGUOUS.get(_plain(name))
        if longer and longer not in plain:
            first, second = (_BY_WORDS[words] for words in (_plain(name), longer))
            raise ModelError(
                f"{quoted(name)} is the name of two of ImageNet's classes:"
                f" call it {SYNSETS[first]} or {SYNSETS[second]} ({longer})."
            )
