"""Checks a configuration before anything is run: the value of each field, and which of them go together."""

import math
from collections.abc import Collection
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


def validate(config: ConfigDict) -> None:
    """Checks that `config` can be run.

    Raises:
      ConfigError: a field has an impossible value.
      models.ModelError: there is no such model, or the image size is too small for it.
    """
    tasks.validate(config)
    _one_of("recipe", config.recipe, RECIPES)
    _one_of("dtype", config.dtype, DTYPES)
    _one_of("budget.kind", config.budget.kind, BUDGET_KINDS)
    optimizers.validate(config.optimizer)
    tuned.validate(config)
    freezing.validate(config)
    if len(config.mean) not in (0, 3) or len(config.std) != len(config.mean):
        raise ConfigError("config.mean and config.std are three numbers each, or both empty.")
    _one_of("batch_norm_scope", config.batch_norm_scope, BATCH_NORM_SCOPES)
    if not 0 <= config.ema_decay < 1:
        raise ConfigError(f"config.ema_decay is from 0 to below 1, not {config.ema_decay}.")
    if config.eval_image_size and not str(config.eval_image_size).isdigit():
        raise ConfigError(
            f"config.eval_image_size is a number of pixels or empty, not {config.eval_image_size!r}."
        )
    if config.accumulation < 1 or config.batch_size % config.accumulation:
        raise ConfigError(
            f"config.accumulation cuts a batch of {config.batch_size} into equal parts, not {config.accumulation}."
        )
    for field in ("batch_size", "eval_batch_size", "log_every_steps", "checkpoint_every_steps"):
        if config[field] < 1:
            raise ConfigError(f"config.{field} is a whole number from 1, not {config[field]}.")
    if config.validate_every_steps < 0 or (
        config.validate_every_steps and not config.validation_split
    ):
        raise ConfigError(
            "config.validate_every_steps is a whole number from 0, and above 0 it needs a config.validation_split."
        )
    if not (math.isfinite(config.budget.amount) and config.budget.amount > 0):
        raise ConfigError(f"config.budget.amount is a number above 0, not {config.budget.amount}.")
    if not 0 <= config.label_smoothing < 1:
        raise ConfigError(
            f"config.label_smoothing is from 0 to below 1, not {config.label_smoothing}."
        )
    augmentation.create(config.augmentation)
    if config.eval_crops not in (1, 10):
        raise ConfigError(f"config.eval_crops is 1 or 10, not {config.eval_crops}.")
    if not 0 <= config.augmentation.random_erasing <= 1:
        raise ConfigError(
            f"config.augmentation.random_erasing is from 0 to 1, not {config.augmentation.random_erasing}."
        )
    for field in ("mixup", "cutmix"):
        if config.augmentation[field] < 0:
            raise ConfigError(
                f"config.augmentation.{field} is a number from 0, not {config.augmentation[field]}."
            )
    for name in config.optimizer.model_learning_rates:
        models.parse(name)
    rates = (config.optimizer.learning_rate, *config.optimizer.model_learning_rates.values())
    if not min(rates) > 0:
        raise ConfigError(f"a learning rate is a number above 0, not {min(rates)}.")
    if config.seed < 0:
        raise ConfigError(f"config.seed is a whole number from 0, not {config.seed}.")
    for side in (*derived.train_sizes(config), derived.eval_image_size(config)):
        models.check_image_size(config.model, side)


def checked(config: ConfigDict, num_logits: int) -> Setup:
    """Returns the setup of a configuration that has no run of its own, after checking it.

    Raises:
      ConfigError, models.ModelError: as `validate`.
    """
    validate(config)
    return set_up(config, num_logits)


def _one_of(field: str, value: Any, choices: Collection[str]) -> None:
    if value not in choices:
        raise ConfigError(f"config.{field} is one of {', '.join(choices)}, not {value!r}.")
