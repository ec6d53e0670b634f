"""Which of a model's classes each class of a dataset is, by its name.

A name is looked up as it stands. Where all of the model's classes are ImageNet's, names may be synsets, words or, for
folders, numbers too (`models.imagenet_classes`), whichever of these the model has, with the background before them or
not.
"""

from collections.abc import Sequence

from input_pipeline.datasets import Dataset
from models import ModelError, imagenet_classes

_FOLDER = "folder:"


def places_of(dataset: Dataset, names: Sequence[str]) -> list[int | None]:
    """Returns the model's class that each of a dataset's is; None for one that it does not have.

    Args:
      dataset: its classes may be any, in any order.
      names: those of the model's classes.
    """
    # Registered datasets, such as digits, have classes that are called by numbers and are not ImageNet's.
    return places(dataset.class_names, names, by_number=dataset.name.startswith(_FOLDER))


def places(
    wanted: Sequence[str], names: Sequence[str], *, by_number: bool = False
) -> list[int | None]:
    """Returns where among a model's classes each name is; None for one that is not there.

    Args:
      wanted: the names to look up.
      names: those of the model's classes.
      by_number: whether `wanted` may be the numbers, from 0, of ImageNet's 1,000 classes. A model that counts the
        background too takes none, as nobody could tell which of its numbers are meant.
    """
    exact = {name: place for place, name in enumerate(names)}
    if all(name in exact for name in wanted):
        return [exact[name] for name in wanted]
    background = int(names[0] == imagenet_classes.BACKGROUND)
    try:
        ours = imagenet_classes.numbers(names[background:])
    except ModelError:  # one of its own classes has a name that two of ImageNet's share
        ours = None
    theirs = imagenet_classes.numbers(wanted)
    if (
        theirs is None
        and by_number
        and not background
        and len(names) == len(imagenet_classes.WORDS)
    ):
        theirs = imagenet_classes.numbers_of_digits(wanted)
    if ours is None or theirs is None:
        return [exact.get(name) for name in wanted]
    by_class = {number: place for place, number in enumerate(ours, start=background)}
    return [by_class.get(number) for number in theirs]
