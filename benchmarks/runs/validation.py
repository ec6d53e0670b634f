"""Checks a configuration before anything is run: the value of each field, and which of them go together."""

import math

from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import checks, derived, tuned
from benchmarks.config.fields import DEVICE_CACHE
from benchmarks.config.setup import Setup, set_up
from benchmarks.errors import ConfigError
from benchmarks.runs import normalization
from benchmarks.runs.budget import BUDGET_KINDS
from benchmarks.steps import freezing, optimizers
from input_pipeline import augmentation, device_cache
from input_pipeline.errors import DataError
from isobudget.wording import shown


def validate(config: ConfigDict) -> None:
    """Checks that `config` can be run.

    Raises:
      ConfigError: a field has an impossible value.
      models.ModelError: there is no such model, or the image size is too small for it.
    """
    checks.check(config)
    if config.budget.kind not in BUDGET_KINDS:
        raise ConfigError(
            f"config.budget.kind is one of {', '.join(BUDGET_KINDS)}, not {shown(config.budget.kind)}."
        )
    tasks.validate(config)
    optimizers.validate(config.optimizer)
    tuned.validate(config)
    freezing.validate(config)
    _check_cache(config)
    _check_what_goes_together(config)
    _check_learning_rates(config)
    for side in (*derived.train_sizes(config), derived.eval_image_size(config)):
        models.check_image_size(config.model, side)
    normalization.check(config, config.accumulation)


def _check_cache(config: ConfigDict) -> None:
    augmented = augmentation.create(config.augmentation)
    if config.cache == DEVICE_CACHE:
        try:
            device_cache.check_changes(augmented)
        except DataError as error:
            raise ConfigError(
                f"config.cache=device does not go with this config.augmentation.changes: {error}."
            ) from None


def _check_what_goes_together(config: ConfigDict) -> None:
    if config.batch_size % config.accumulation:
        raise ConfigError(
            f"config.accumulation cuts a batch of {config.batch_size} into equal parts, not {config.accumulation}."
        )
    for crop, least, most in (
        ("random_resized", "min_area", "max_area"),
        ("random_side", "smallest", "largest"),
    ):
        options = config.augmentation[crop]
        if options[least] > options[most]:
            raise ConfigError(
                f"config.augmentation.{crop}.{least} is at most its {most}, {options[most]}, not {options[least]}."
            )
    if config.validate_every_steps and not config.validation_split:
        raise ConfigError("config.validate_every_steps needs a config.validation_split.")
    if len(config.mean) not in (0, 3) or len(config.std) != len(config.mean):
        raise ConfigError("config.mean and config.std are three numbers each, or both empty.")


def _check_learning_rates(config: ConfigDict) -> None:
    for name in config.optimizer.model_learning_rates:
        models.parse(name)
    for name, rate in config.optimizer.model_learning_rates.items():
        if not (math.isfinite(rate) and rate > 0):
            raise ConfigError(
                f"config.optimizer.model_learning_rates.{name} is a number above 0, not {rate}."
            )


def checked(config: ConfigDict, num_logits: int) -> Setup:
    """Returns the setup of a configuration that has no run of its own, after checking it.

    Raises:
      ConfigError, models.ModelError: as `validate`.
    """
    validate(config)
    return set_up(config, num_logits)
