"""Words for classes that are WordNet synsets, such as `n01443537`, from a table beside the pictures.

Each line of the table is a synset, a tab and its synonyms with commas between them, as in the `words.txt` of
Tiny-ImageNet: `n01443537	goldfish, Carassius auratus`.
"""

import collections
import re
from collections.abc import Mapping, Sequence

from input_pipeline.errors import DataError
from input_pipeline.names import printable

# The tables that are looked for; what the first says is preferred.
TABLES = ("labels.tsv", "words.txt")
_SYNSET = re.compile(r"n\d{8}")


def is_synset(name: str) -> bool:
    """Returns whether a name is a noun's number in WordNet 3.0: n and eight digits."""
    return bool(_SYNSET.fullmatch(name))


def read_synonyms(data: bytes, place: str) -> dict[str, str]:
    """Returns the synonyms of each synset of a table, with commas between them; other lines are left out.

    Args:
      data: the content of the table.
      place: where it is, for the error.

    Raises:
      DataError: it is no text in UTF-8.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"'{place}' cannot be read ({error}); save it as UTF-8") from error
    rows = (line.split("\t") for line in lines)
    return {row[0].strip(): row[1] for row in rows if len(row) > 1 and is_synset(row[0].strip())}


def class_names(synsets: Sequence[str], synonyms: Mapping[str, str]) -> tuple[str, ...]:
    """Returns a name for each class, no two alike: the first of its synonyms, or the synset if it has none.

    Classes that share a first synonym have the first that no other class has, or else the synset in parentheses.

    Args:
      synsets: the classes in the order of their labels.
      synonyms: those of each synset, with commas between them.
    """
    words = [
        [printable(word.strip()) for word in synonyms.get(synset, "").split(",") if word.strip()]
        or [printable(synset)]
        for synset in synsets
    ]
    first = collections.Counter(each[0] for each in words)
    classes = collections.Counter(word for each in words for word in set(each))
    names = []
    for synset, each in zip(synsets, words, strict=True):
        if first[each[0]] == 1:
            names.append(each[0])
        else:
            own = (word for word in each if classes[word] == 1)
            names.append(next(own, f"{each[0]} ({printable(synset)})"))
    return tuple(names)
