"""The flags that say what weights need (`models.weight_description`): of every command that is given weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from isobudget.wording import quoted
from models import imagenet_classes
from models.errors import ModelError
from models.weight_description import CHANNEL_ORDERS, CONVENTIONS, INTERPOLATIONS, find

_PADDINGS = ("torch", "tensorflow")


def define() -> None:
    """Defines the flags that change a description."""
    by_default = "By default what belongs to the weights (docs/weights.md)."
    flags.DEFINE_list(
        "mean",
        None,
        "The mean of each channel, for pixels scaled to 0..1: three numbers in the order of the channels, or one for "
        f"all. {by_default}",
    )
    flags.DEFINE_list(
        "std", None, f"The standard deviation of each channel, given like --mean. {by_default}"
    )
    flags.DEFINE_enum(
        "channel_order",
        None,
        CHANNEL_ORDERS,
        f"The order in which the weights expect a picture's channels; Caffe's is bgr. {by_default}",
    )
    flags.DEFINE_enum(
        "padding",
        None,
        _PADDINGS,
        f"The model's option `padding`: as PyTorch or as TensorFlow pads. {by_default}",
    )
    flags.DEFINE_float(
        "epsilon", None, f"The model's option `epsilon`, of batch norm. {by_default}"
    )
    flags.DEFINE_string(
        "image_size", None, f"The side of the images that the model sees, in pixels. {by_default}"
    )
    flags.DEFINE_float(
        "crop_fraction",
        None,
        "The fraction of a picture's shorter side that is kept in its central crop, above 0 and up to 1. "
        f"{by_default}",
    )
    flags.DEFINE_enum(
        "interpolation", None, INTERPOLATIONS, f"How pictures are resized. {by_default}"
    )
    flags.DEFINE_string(
        "classes",
        None,
        "What the weights tell apart: imagenet (its 1,000 classes), imagenet_background (1,001, the background first) "
        f"or a text file with a class on each line. {by_default}",
    )


def given() -> dict[str, Any]:
    """Returns the values of the flags that were given, by name.

    `image_size` is its text, as commands that know other words for sizes take it.

    Raises:
      ModelError: a value that is impossible.
    """
    values_of = flags.FLAGS
    plain = ("channel_order", *CONVENTIONS, "image_size", "crop_fraction", "interpolation")
    values = {name: values_of[name].value for name in plain}
    values |= {name: _numbers(name, values_of[name].value) for name in ("mean", "std")}
    values["classes"] = _classes(values_of.classes)
    return {name: value for name, value in values.items() if value is not None}


def stated(source: str | Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is stated of weights that are imported: by flags, or else by the description beside their file.

    Args:
      source: the file.
      values: those of flags, as `given` returns them; `image_size` becomes a number.

    Raises:
      ModelError: the description is damaged, or --image_size is no number of pixels.
    """
    described = find(source)
    given = dict(values)
    by_file = {}
    if described:
        left_out = ("model", "assumed", *described.assumed)
        by_file = {k: value for k, value in described.values().items() if k not in left_out}
    if "image_size" in given:
        given["image_size"] = pixels(given["image_size"])
    return by_file | given


def pixels(text: str) -> int:
    """Returns the number of pixels that the text of --image_size is.

    Raises:
      ModelError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise ModelError(f"--image_size is a whole number of pixels, not {quoted(text)}.")
    return int(text)


def _numbers(flag: str, texts: list[str] | None) -> tuple[float, ...] | None:
    if texts is None:
        return None
    try:
        values = tuple(map(float, texts))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise ModelError(
            f"--{flag} is three numbers with commas between them, or one for all channels, not"
            f" {quoted(','.join(texts))}."
        )
    return values * 3 if len(values) == 1 else values


def _classes(given: str | None) -> str | tuple[str, ...] | None:
    if given is None or given in imagenet_classes.LISTS:
        return given
    try:
        lines = Path(given).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ModelError(
            f"--classes is {', '.join(imagenet_classes.LISTS)} or a text file, and {quoted(given)} cannot be read"
            f" ({reason})."
        ) from None
    return tuple(line.strip() for line in lines if line.strip())
