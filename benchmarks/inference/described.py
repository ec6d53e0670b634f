"""What weights need, as a run or a description says it and as it is used."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

import models
from benchmarks.config.setup import Setup
from models import imagenet_classes
from models.weight_description import WeightDescription
from results import records

# Fields of a configuration and of a description that have the same name and meaning.
_FIELDS = ("mean", "std", "crop_fraction", "interpolation")


def of_run(
    setup: Setup, class_names: Sequence[str], decision: records.Decision
) -> WeightDescription:
    """Returns what the weights of a run need.

    Args:
      setup: as it is evaluated.
      class_names: the classes of its dataset.
      decision: how its confidences become decisions.
    """
    name, options = models.parse(setup.model)
    return WeightDescription(
        model=name,
        options=models.info(name).options | options,
        mean=setup.mean,
        std=setup.std,
        channel_order="rgb",
        image_size=setup.eval_image_size,
        crop_fraction=setup.config.crop_fraction,
        interpolation=setup.config.interpolation,
        classes=imagenet_classes.name_of(class_names),
        task=setup.task.name,
        positive_class=setup.config.positive_class,
        thresholds=tuple(decision.thresholds.values()),
        temperature=decision.temperature or 1.0,
    )


def feed(config: ConfigDict, needed: WeightDescription) -> None:
    """Writes what weights need into the fields of a configuration."""
    config.image_size = str(needed.image_size)
    for field in (*_FIELDS, "task", "positive_class"):
        config[field] = getattr(needed, field)


def fed(setup: Setup) -> dict[str, Any]:
    """Returns how a run is fed, by the names of the flags that change it."""
    return {
        "mean": setup.mean,
        "std": setup.std,
        "image_size": setup.eval_image_size,
        "crop_fraction": setup.config.crop_fraction,
        "interpolation": setup.config.interpolation,
    }


def changes(described: WeightDescription, used: WeightDescription) -> dict[str, tuple[Any, Any]]:
    """Returns what of a description is used otherwise, the model's options included; see `differences`."""
    return differences(
        described.values() | dict(described.options), used.values() | dict(used.options)
    )


def differences(
    described: Mapping[str, Any], used: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Returns (described, used) by the names of values that differ."""
    return {
        name: (described[name], value)
        for name, value in used.items()
        if name in described and name != "assumed" and described[name] != value
    }


def remarks(overridden: Mapping[str, tuple[Any, Any]], origin: str) -> tuple[str, ...]:
    """Returns a line for each value that is used otherwise than `origin` says."""
    return tuple(
        f"{name}={_shown(used)} in place of {_shown(described)}, which {origin} says"
        for name, (described, used) in overridden.items()
    )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        few = value if len(value) <= 3 else (*value[:2], "...")
        return ",".join(f"{each}" for each in few)
    return f"{value}"
