"""What follows from a configuration: names, sizes, the peak learning rate."""

import math

from ml_collections import ConfigDict

import models
from benchmarks.config.fields import PUBLISHED, SMALLEST
from benchmarks.errors import ConfigError
from isobudget import earlier
from isobudget.wording import shown

# With image_size "smallest", sides are multiples of this, so that every stage halves evenly.
_SIZE_STEP = 32


def run_id(config: ConfigDict) -> str:
    """Returns the name of a run's folder: `mobilenet_v1-width=0.5-seed0`."""
    return f"{folder_name(config.model)}-seed{config.seed}"


def folder_name(spec: str) -> str:
    """Returns a model's name and options in a form that can name a folder: `mobilenet_v1-width=0.5`."""
    return models.label(*models.parse(spec)).replace(":", "-").replace(",", "-")


def names_of_run(config: ConfigDict) -> tuple[tuple[str, str], ...]:
    """Returns (the model's part of a folder's name, the run's whole folder name), as today and as earlier versions did.

    The second is missing where they agree, or where earlier versions could not make the model.
    """
    label = models.label(*models.parse(config.model))
    specs = filter(None, (label, earlier.as_written(label)))
    return tuple((folder_name(spec), f"{folder_name(spec)}-seed{config.seed}") for spec in specs)


def split_specs(text: str) -> list[str]:
    """Splits at commas, but not between the options of one model: `a:x=1,y=2,b` is `a:x=1,y=2` and `b`.

    Raises:
      ConfigError: a name is missing.
    """
    specs: list[str] = []
    for part in text.split(","):
        if specs and "=" in part and ":" not in part and ":" in specs[-1]:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    if not all(map(str.strip, specs)):
        raise ConfigError(f"a model is missing in '{text}'; give names with commas between them.")
    return specs


def learning_rate(config: ConfigDict) -> float:
    """Returns the peak learning rate of the run's model."""
    name, _ = models.parse(config.model)
    return config.optimizer.model_learning_rates.get(name, config.optimizer.learning_rate)


def image_size(config: ConfigDict) -> int:
    """Returns the image side, in pixels, that the run's model is trained and evaluated at."""
    if config.image_size == PUBLISHED:
        return models.info(config.model).input_size
    if config.image_size == SMALLEST:
        smallest = models.info(config.model).min_size
        return max(1, math.ceil(smallest / _SIZE_STEP)) * _SIZE_STEP
    try:
        return int(config.image_size)
    except ValueError:
        raise ConfigError(
            f'config.image_size is a number of pixels, "{SMALLEST}" or "{PUBLISHED}", not {shown(config.image_size)}.'
        ) from None


def train_sizes(config: ConfigDict) -> tuple[int, ...]:
    """Returns the image side, in pixels, of each part of the run; all parts are equally long."""
    return (*map(int, config.progressive_sizes), image_size(config))


def eval_image_size(config: ConfigDict) -> int:
    """Returns the image side, in pixels, of evaluation."""
    return int(config.eval_image_size) if config.eval_image_size else image_size(config)
