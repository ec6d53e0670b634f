"""Images to batches: datasets by name, read through TFDS and Grain without TensorFlow.

`datasets.load` opens a dataset, `loader.train_batches` and `loader.eval_batches` turn one of its
splits into batches, and `python -m input_pipeline.prepare` writes a dataset of TFDS's catalog to
disk. `register_dataset`, `register_crop` and `register_change` add your own. Importing this package
is cheap: the heavy libraries load when they are first needed.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from input_pipeline.errors import DataError

__all__ = ["DataError", "register_change", "register_crop", "register_dataset"]

_Builder = TypeVar("_Builder", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def register_dataset(name: str) -> Callable[[_Builder], _Builder]:
    """Returns a decorator that registers a TFDS builder class, a `tfds.core.GeneratorBasedBuilder`, as a dataset.

    `datasets.load(name)` writes it to the data directory as ArrayRecord the first time, then reads it through Grain;
    raise the builder's `VERSION` when its examples change. Its features are an image and a class, or a list of classes
    (input_pipeline/digits.py and digits_multilabel.py are examples). A name in TFDS's catalog is refused: a record that
    names `mnist` means TFDS's.

    Args:
      name: letters, digits and _; so it is never mistaken for `folder:PATH` or `NAME/CONFIG`.

    Raises:
      DataError: the name is taken or unfit, or the class is no builder of one dataset.
    """
    from input_pipeline import builders

    builders.import_built_in()
    return builders.register_dataset(name)


def register_crop(name: str) -> Callable[[_Function], _Function]:
    """Returns a decorator that registers a crop: it chooses the part of a training picture that is taken.

    It is called as (rows, columns, image_size, rng) and returns a `resizing.Box` inside the picture; `rng` is a NumPy
    generator. Keyword-only parameters are its options, which a configuration sets as
    `config.augmentation.NAME.OPTION`.

    Args:
      name: an identifier that no other crop or change has.

    Raises:
      DataError: the name is taken or unfit, or an option has no default that is a bool, int, float, str or tuple.
    """
    from input_pipeline import augmentation

    return augmentation.register_crop(name)


def register_change(name: str) -> Callable[[_Function], _Function]:
    """Returns a decorator that registers a change of training pictures.

    It is called as (picture, rng) and returns a picture of the same size, uint8 [image_size, image_size, 3], leaving
    the one that it was given alone. Options are as `register_crop` has them.

    Args:
      name: as for `register_crop`.

    Raises:
      DataError: as `register_crop`.
    """
    from input_pipeline import augmentation

    return augmentation.register_change(name)
