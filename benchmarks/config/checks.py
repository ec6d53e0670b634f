"""What each field of a configuration may be: its type is that of its default, its range or choices are declared here.

Every field is checked before anything of a run is written, those that only evaluation uses included.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from benchmarks.config.fields import BATCH_NORM_SCOPES, CACHES, DTYPES, RECIPES, default_config
from benchmarks.errors import ConfigError
from input_pipeline.resizing import INTERPOLATIONS
from isobudget.wording import shown


class Check(NamedTuple):
    """What the value of a field must be.

    Attributes:
      field: its name, with dots.
      right: what it must be, as people say it.
      is_right: whether a value of the field's type is.
    """

    field: str
    right: str
    is_right: Callable[[Any], bool]


def _whole(field: str, least: int) -> Check:
    return Check(field, f"a whole number from {least}", lambda value: value >= least)


def _between(field: str, right: str, is_right: Callable[[float], bool]) -> Check:
    return Check(field, right, lambda value: math.isfinite(value) and is_right(value))


def _one_of(field: str, *choices: Any) -> Check:
    return Check(field, f"one of {', '.join(map(str, choices))}", lambda value: value in choices)


def _named(field: str, what: str) -> Check:
    return Check(field, f"the name of {what}", lambda value: bool(value.strip()))


def _each(field: str, right: str, is_right: Callable[[Any], bool]) -> Check:
    return Check(field, right, lambda values: all(map(is_right, values)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


CHECKS = (
    _named("model", "a model"),
    Check("seed", "a whole number from 0, below 2^63", lambda value: 0 <= value < 2**63),
    _named("dataset", "a dataset"),
    _named("train_split", "a split"),
    _each("mean", "numbers", _is_number),
    _each("std", "numbers above 0", lambda value: _is_number(value) and value > 0),
    _between("crop_fraction", "above 0 and at most 1", lambda value: 0 < value <= 1),
    _one_of("interpolation", *INTERPOLATIONS),
    _one_of("eval_crops", 1, 10),
    _whole("num_workers", 0),
    _one_of("cache", *CACHES),
    _between("max_unreadable_fraction", "from 0 to 1", lambda value: 0 <= value <= 1),
    _whole("max_pixels", 1),
    _between("augmentation.random_erasing", "from 0 to 1", lambda value: 0 <= value <= 1),
    _between("augmentation.mixup", "a number from 0", lambda value: value >= 0),
    _between("augmentation.cutmix", "a number from 0", lambda value: value >= 0),
    _whole("augmentation.repeats", 1),
    *(
        _between(
            f"augmentation.random_resized.{each}",
            "above 0 and at most 1",
            lambda value: 0 < value <= 1,
        )
        for each in ("min_area", "max_area")
    ),
    _whole("augmentation.random_side.smallest", 1),
    _whole("augmentation.random_side.largest", 1),
    _whole("augmentation.random_position.side", 1),
    _between("augmentation.shift.distance", "from 0 to 1", lambda value: 0 <= value <= 1),
    _between("augmentation.shift.degrees", "from 0 to 180", lambda value: 0 <= value <= 180),
    _between("augmentation.shift.zoom", "a number from 1", lambda value: value >= 1),
    _between("augmentation.pad_and_crop.fraction", "from 0 to 1", lambda value: 0 <= value <= 1),
    *(
        _between(f"augmentation.color_jitter.{each}", "a number from 0", lambda value: value >= 0)
        for each in ("brightness", "contrast", "saturation")
    ),
    _between("augmentation.color_jitter.hue", "from 0 to 0.5", lambda value: 0 <= value <= 0.5),
    _between("augmentation.pca_color.deviation", "a number from 0", lambda value: value >= 0),
    _whole("augmentation.rand_augment.layers", 0),
    Check(
        "augmentation.rand_augment.magnitude",
        "a whole number from 0 to 30",
        lambda value: 0 <= value <= 30,
    ),
    _between("budget.amount", "a number above 0", lambda value: value > 0),
    _whole("batch_size", 1),
    _whole("eval_batch_size", 1),
    Check(
        "eval_image_size",
        "a number of pixels, or empty",
        lambda value: not value or (value.isdecimal() and int(value) > 0),
    ),
    _each(
        "progressive_sizes",
        "whole numbers of pixels",
        lambda value: isinstance(value, int) and value > 0,
    ),
    _whole("accumulation", 1),
    _one_of("batch_norm_scope", *BATCH_NORM_SCOPES),
    _between("ema_decay", "from 0 to below 1", lambda value: 0 <= value < 1),
    _one_of("recipe", *RECIPES),
    _between("optimizer.learning_rate", "a number above 0", lambda value: value > 0),
    _between("label_smoothing", "from 0 to below 1", lambda value: 0 <= value < 1),
    _one_of("dtype", *DTYPES),
    _whole("tuning_trials", 0),
    _whole("log_every_steps", 1),
    _whole("checkpoint_every_steps", 1),
    _whole("validate_every_steps", 0),
)
# Groups of fields that users fill with names of their own.
_OPEN = ("suite", "tuning", "optimizer.model_learning_rates")
_TYPES = {
    bool: ("true or false", bool),
    int: ("a whole number", int),
    float: ("a number", int | float),
    str: ("a text", str),
    tuple: ("a list", list | tuple),
    ConfigDict: ("a group of fields", ConfigDict),
}


def check(config: ConfigDict) -> None:
    """Checks each field of a configuration alone.

    Raises:
      ConfigError: one sentence on the first field that has another type, or a value that it cannot have.
    """
    for field, default in _defaults():
        _check_type(field, value_of(config, field), default)
    for field, right, is_right in CHECKS:
        value = value_of(config, field)
        if not is_right(value):
            raise ConfigError(f"config.{field} is {right}, not {shown(value)}.")


def value_of(config: ConfigDict, field: str) -> Any:
    """Returns the value of a field, named with dots."""
    for name in field.split("."):
        config = config[name]
    return config


@functools.cache
def _defaults() -> tuple[tuple[str, Any], ...]:
    return tuple(_leaves(default_config()))


def _leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        field = f"{prefix}{name}"
        if field in _OPEN:
            continue
        yield field, value
        if isinstance(value, ConfigDict):
            yield from _leaves(value, f"{field}.")


def _check_type(field: str, value: Any, default: Any) -> None:
    said, kind = _TYPES[type(default)]
    wrong_bool = isinstance(value, bool) and not isinstance(default, bool)
    if not isinstance(value, kind) or wrong_bool:
        raise ConfigError(f"config.{field} is {said}, not {shown(value)}.")
