"""Tuned values: which fields are searched, and the best values of each model, kept in a `tuned.json`."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.errors import ConfigError
from input_pipeline import datasets
from isobudget import earlier

# Values by field, whose name has dots: {"optimizer.learning_rate": 0.003162}.
Point = dict[str, float]

_LEARNING_RATE = "optimizer.learning_rate"


def space(config: ConfigDict) -> dict[str, tuple[float, float]]:
    """Returns the lowest and highest value of each tuned field, by the field's name with dots."""
    return dict(sorted(_flat(config.tuning)))


def set_point(config: ConfigDict, point: Mapping[str, float]) -> None:
    """Sets fields of a run's configuration; a learning rate overrides any that `config` has for the model."""
    for field, value in point.items():
        parent, _, name = field.rpartition(".")
        (config[parent] if parent else config)[name] = value
    if _LEARNING_RATE in point:
        config.optimizer.model_learning_rates = ConfigDict()


def apply(config: ConfigDict) -> ConfigDict:
    """Returns the configuration of one run after setting the values that `config.tuned` has for its model.

    Raises:
      ConfigError: no such file, it has nothing for this model, or its dataset, task or recipe is another.
    """
    if not config.tuned:
        return config
    content = read(config.tuned)
    asked = {"dataset": datasets.without_path(config.dataset), "recipe": config.recipe}
    for field, value in asked.items():
        if content[field] != value:
            raise ConfigError(
                f"{config.tuned} was tuned with config.{field}={content[field]}, not {value}."
            )
    # Files from before there were several tasks name none.
    task = content.get("task", tasks.SINGLE_LABEL.name)
    if task != config.task:
        raise ConfigError(f"{config.tuned} was tuned with config.task={task}, not {config.task}.")
    label = models.label(*models.parse(config.model))
    entry = content["models"].get(label)
    if not entry:
        raise ConfigError(
            f"{config.tuned} has nothing for {label}, only for {', '.join(content['models'])}."
        )
    set_point(config, entry["best"])
    config.tuning_trials = entry["trials"]
    return config


def read(path: str | Path) -> dict[str, Any]:
    """Returns what a `tuned.json` holds: dataset, recipe, and for each model its best point.

    Raises:
      ConfigError: no such file, or it holds no tuned values.
    """
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ConfigError(f"there are no tuned values at {path}.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}.") from None
    if not _holds(content, "dataset", "recipe", "models") or not all(
        _holds(entry, "best", "trials") for entry in content["models"].values()
    ):
        raise ConfigError(f"{path} holds no tuned values.")
    if "schema_version" in content:
        return content
    return content | {
        "models": {earlier.completed(spec): entry for spec, entry in content["models"].items()}
    }


def validate(config: ConfigDict) -> None:
    """Checks that every range of `config.tuning` can be searched.

    Raises:
      ConfigError: a field is not a number in the configuration, or its range is not one.
    """
    for field, limits in space(config).items():
        target: Any = config
        for name in field.split("."):
            target = target.get(name) if isinstance(target, ConfigDict) else None
        if not isinstance(target, float):
            raise ConfigError(
                f"config.tuning searches {field}, which is not a number in the configuration."
            )
        low, high = limits if len(limits) == 2 else (0, 0)
        if not (math.isfinite(high) and 0 < low < high):
            raise ConfigError(
                f"config.tuning.{field} is two numbers above 0, the lower one first, not {limits}."
            )


def _holds(content: Any, *names: str) -> bool:
    return isinstance(content, dict) and set(names) <= content.keys()


def _flat(tree: Mapping[str, Any], prefix: str = ""):
    for name, value in tree.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", tuple(value)
