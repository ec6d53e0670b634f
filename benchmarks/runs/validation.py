"""Checks a configuration before anything is run: the value of each field, and which of them go together."""

import math
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import derived, tuned
from benchmarks.config.fields import BATCH_NORM_SCOPES, DTYPES, RECIPES
from benchmarks.config.setup import Setup, set_up
from benchmarks.errors import ConfigError
from benchmarks.runs.budget import BUDGET_KINDS
from benchmarks.steps import freezing, optimizers
from input_pipeline import augmentation

# A number's field, what it must be, and how that is said.
_NUMBERS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    *(
        (field, lambda value: value >= 1, "a whole number from 1")
        for field in ("batch_size", "eval_batch_size", "log_every_steps", "checkpoint_every_steps")
    ),
    ("budget.amount", lambda value: math.isfinite(value) and value > 0, "a number above 0"),
    ("ema_decay", lambda value: 0 <= value < 1, "from 0 to below 1"),
    ("label_smoothing", lambda value: 0 <= value < 1, "from 0 to below 1"),
    ("augmentation.random_erasing", lambda value: 0 <= value <= 1, "from 0 to 1"),
    ("augmentation.mixup", lambda value: value >= 0, "a number from 0"),
    ("augmentation.cutmix", lambda value: value >= 0, "a number from 0"),
    ("eval_crops", lambda value: value in (1, 10), "1 or 10"),
    ("seed", lambda value: value >= 0, "a whole number from 0"),
)


def validate(config: ConfigDict) -> None:
    """Checks that `config` can be run.

    Raises:
      ConfigError: a field has an impossible value.
      models.ModelError: there is no such model, or the image size is too small for it.
    """
    tasks.validate(config)
    _check_choices(config)
    optimizers.validate(config.optimizer)
    tuned.validate(config)
    freezing.validate(config)
    _check_numbers(config)
    _check_input(config)
    _check_what_goes_together(config)
    _check_learning_rates(config)


def _check_choices(config: ConfigDict) -> None:
    for field, choices in (
        ("recipe", RECIPES),
        ("dtype", DTYPES),
        ("budget.kind", BUDGET_KINDS),
        ("batch_norm_scope", BATCH_NORM_SCOPES),
    ):
        value = _value(config, field)
        if value not in choices:
            raise ConfigError(f"config.{field} is one of {', '.join(choices)}, not {value!r}.")


def _check_numbers(config: ConfigDict) -> None:
    for field, is_right, right in _NUMBERS:
        value = _value(config, field)
        if not is_right(value):
            raise ConfigError(f"config.{field} is {right}, not {value}.")


def _check_input(config: ConfigDict) -> None:
    if len(config.mean) not in (0, 3) or len(config.std) != len(config.mean):
        raise ConfigError("config.mean and config.std are three numbers each, or both empty.")
    if config.eval_image_size and not str(config.eval_image_size).isdigit():
        raise ConfigError(
            f"config.eval_image_size is a number of pixels or empty, not {config.eval_image_size!r}."
        )
    augmentation.create(config.augmentation)
    for side in (*derived.train_sizes(config), derived.eval_image_size(config)):
        models.check_image_size(config.model, side)


def _check_what_goes_together(config: ConfigDict) -> None:
    if config.accumulation < 1 or config.batch_size % config.accumulation:
        raise ConfigError(
            f"config.accumulation cuts a batch of {config.batch_size} into equal parts, not {config.accumulation}."
        )
    every = config.validate_every_steps
    if every < 0 or (every and not config.validation_split):
        raise ConfigError(
            "config.validate_every_steps is a whole number from 0, and above 0 it needs a config.validation_split."
        )


def _check_learning_rates(config: ConfigDict) -> None:
    for name in config.optimizer.model_learning_rates:
        models.parse(name)
    rates = (config.optimizer.learning_rate, *config.optimizer.model_learning_rates.values())
    if not min(rates) > 0:
        raise ConfigError(f"a learning rate is a number above 0, not {min(rates)}.")


def _value(config: ConfigDict, field: str) -> Any:
    """Returns the value of a field, named with dots."""
    for name in field.split("."):
        config = config[name]
    return config


def checked(config: ConfigDict, num_logits: int) -> Setup:
    """Returns the setup of a configuration that has no run of its own, after checking it.

    Raises:
      ConfigError, models.ModelError: as `validate`.
    """
    validate(config)
    return set_up(config, num_logits)
