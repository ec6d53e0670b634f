"""The training recipes of the papers, by family of models: what `config.recipe = "paper"` sets.

A paper's schedule is squeezed or stretched into the run's budget: where the rate drops is a fraction of the paper's
length. The batch size is the paper's. Everything else of the optimizer, the augmentation, the label smoothing and the
weight averaging is the paper's too, or off where it has none. Initialization, dropout and the weights of auxiliary
losses are the models' own (`models/`). What a paper does not say is taken from the source in the recipe's `notes`;
docs/recipes.md has the table.
"""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

import models
from benchmarks.config.fields import default_config
from benchmarks.errors import ConfigError
from benchmarks.registry import Registry

_QUARTERS = (1 / 4, 1 / 2, 3 / 4)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one family was trained.

    Attributes:
      source: the paper and the section.
      notes: what the paper leaves open, and where it is taken from.
      batch_size: examples in a step.
      optimizer: fields of `config.optimizer` that differ from plain SGD with momentum 0.9 without warm-up or clipping.
      augmentation: fields of `config.augmentation` that differ from their defaults.
      label_smoothing, ema_decay: as in the configuration.
    """

    source: str
    notes: str
    batch_size: int
    optimizer: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    label_smoothing: float = 0.0
    ema_decay: float = 0.0


_SGD = {"name": "sgd", "momentum": 0.9, "warmup_fraction": 0.0, "clip_norm": 0.0}
_RMSPROP = {"name": "rmsprop", "schedule": "exponential", "rmsprop_decay": 0.9}
_INCEPTION_CROPS = {"crop": "random_resized", "changes": ("flip", "color_jitter")}

_RESNET = Recipe(
    source="He et al. 2015, arXiv:1512.03385, section 3.4",
    notes="The rate was divided by 10 on plateaus: here at each third, as in Facebook's fb.resnet.torch (epochs "
    "30 and 60 of 90), which also decays every parameter.",
    batch_size=256,
    optimizer={
        "learning_rate": 0.1,
        "schedule": "step",
        "weight_decay": 1e-4,
        "decay_all": True,
    },
    augmentation={
        "crop": "random_side",
        "random_side": {"smallest": 256, "largest": 480},
        "changes": ("flip", "pca_color"),
    },
)

RECIPES: Registry[Recipe] = Registry("a recipe for the family")


def register_recipe(family: str, recipe: Recipe) -> None:
    """Registers a family's recipe, which `config.recipe=paper` then sets for its models.

    Args:
      family: the one that the models are registered with (`models.register`).
      recipe: how they were trained.

    Raises:
      ConfigError: the family has a recipe already.
    """
    RECIPES.register(family, recipe, sys._getframe(1).f_globals["__name__"])


_PAPERS: dict[str, Recipe] = {
    "alexnet": Recipe(
        source="Krizhevsky et al. 2012, sections 4 and 5",
        notes="The rate was divided by 10 three times by hand: here at each quarter. Biases do not decay, as in the "
        "authors' cuda-convnet.",
        batch_size=128,
        optimizer={
            "learning_rate": 0.01,
            "schedule": "step",
            "step_fractions": _QUARTERS,
            "weight_decay": 5e-4,
        },
        augmentation={"crop": "random_position", "changes": ("flip", "pca_color")},
    ),
    "vgg": Recipe(
        source="Simonyan and Zisserman 2014, arXiv:1409.1556, section 3.1",
        notes="The rate was divided by 10 three times on plateaus: here at each quarter. Biases do not decay, as in "
        "the Caffe models of its time. The versions with batch norm are not in the paper and trained the same.",
        batch_size=256,
        optimizer={
            "learning_rate": 0.01,
            "schedule": "step",
            "step_fractions": _QUARTERS,
            "weight_decay": 5e-4,
        },
        augmentation={
            "crop": "random_side",
            "random_side": {"smallest": 256, "largest": 512},
            "changes": ("flip", "pca_color"),
        },
    ),
    "googlenet": Recipe(
        source="Szegedy et al. 2014, arXiv:1409.4842, sections 5 and 6",
        notes="First rate, weight decay, batch size and length (10 million steps of 32, 250 epochs) are those of "
        "Caffe's bvlc_googlenet; the averaging's 0.9999 is Inception v3's. Training was asynchronous; here it is not.",
        batch_size=32,
        optimizer={
            "learning_rate": 0.01,
            "schedule": "exponential",
            "exponential_rate": 0.96,
            "exponential_every": 8 / 250,
            "weight_decay": 2e-4,
        },
        augmentation=_INCEPTION_CROPS,
        ema_decay=0.9999,
    ),
    "inception_v3": Recipe(
        source="Szegedy et al. 2015, arXiv:1512.00567, sections 7 and 8",
        notes="100 epochs; the batch is one replica's of 50, asynchronous there. Momentum, weight decay on kernels, "
        "averaging and augmentation are those of the authors' TensorFlow code.",
        batch_size=32,
        optimizer=_RMSPROP
        | {
            "learning_rate": 0.045,
            "exponential_rate": 0.94,
            "exponential_every": 2 / 100,
            "rmsprop_epsilon": 1.0,
            "weight_decay": 4e-5,
            "clip_norm": 2.0,
        },
        augmentation=_INCEPTION_CROPS,
        label_smoothing=0.1,
        ema_decay=0.9999,
    ),
    "resnet": _RESNET,
    "squeezenet": Recipe(
        source="Iandola et al. 2016, arXiv:1602.07360, and the authors' solver and train_val.prototxt",
        notes="The files say all. Crops of 227 out of 256 pixels are 224 out of 253; nothing is mirrored, and biases "
        "do not decay.",
        batch_size=512,
        optimizer={"learning_rate": 0.04, "schedule": "linear", "weight_decay": 2e-4},
        augmentation={"crop": "random_position", "random_position": {"side": 253}},
    ),
    "mobilenet_v1": Recipe(
        source="Howard et al. 2017, arXiv:1704.04861, section 3.4",
        notes='"Similar to Inception v3": rate, epsilon, batch and length (100 epochs) are its. Weight decay is '
        "TF-slim's: 4e-5 on kernels, none on depthwise ones. The paper limits small crops without a number: here to "
        "a quarter of the area, which is our choice.",
        batch_size=32,
        optimizer=_RMSPROP
        | {
            "learning_rate": 0.045,
            "exponential_rate": 0.94,
            "exponential_every": 2 / 100,
            "rmsprop_epsilon": 1.0,
            "weight_decay": 4e-5,
            "decay_depthwise": False,
        },
        augmentation={
            "crop": "random_resized",
            "random_resized": {"min_area": 0.25, "max_area": 1.0},
            "changes": ("flip",),
        },
    ),
    "mobilenet_v2": Recipe(
        source="Sandler et al. 2018, arXiv:1801.04381, section 6.1",
        notes="The batch is one worker's of 16, asynchronous there. From TF-slim: epsilon, augmentation, label "
        "smoothing, averaging, no decay of depthwise kernels, and 165 drops of the rate (5.5 million steps of 96, one "
        "each 2.5 epochs there).",
        batch_size=96,
        optimizer=_RMSPROP
        | {
            "learning_rate": 0.045,
            "exponential_rate": 0.98,
            "exponential_every": 1 / 165,
            "rmsprop_epsilon": 1.0,
            "weight_decay": 4e-5,
            "decay_depthwise": False,
        },
        augmentation=_INCEPTION_CROPS,
        label_smoothing=0.1,
        ema_decay=0.9999,
    ),
    "mobilenet_v3": Recipe(
        source="Howard et al. 2019, arXiv:1905.02244, section 6.1.1",
        notes='"Decay rate of 0.01 every 3 epochs" is read as x0.99. From torchvision: the length (600 epochs) and '
        "epsilon (0.001 under the root). Label smoothing is MobileNet v2's.",
        batch_size=4096,
        optimizer=_RMSPROP
        | {
            "learning_rate": 0.1,
            "exponential_rate": 0.99,
            "exponential_every": 3 / 600,
            "rmsprop_epsilon": 1e-3,
            "weight_decay": 1e-5,
        },
        augmentation=_INCEPTION_CROPS,
        label_smoothing=0.1,
        ema_decay=0.9999,
    ),
}


for _family, _recipe in _PAPERS.items():
    register_recipe(_family, _recipe)


def for_model(spec: str) -> Recipe:
    """Returns the paper's recipe of a model.

    Raises:
      models.ModelError: no such model.
      ConfigError: its family has no recipe.
    """
    family = models.info(spec).family
    if family in RECIPES:
        return RECIPES[family]
    raise ConfigError(
        f"there is no paper's recipe for {spec}, of the family {family}: config.recipe=paper is for"
        f" {', '.join(RECIPES)}."
    )


def apply(config: ConfigDict) -> ConfigDict:
    """Returns the configuration of one run after setting its model's recipe in it, if `recipe` is `paper`.

    Raises:
      models.ModelError, ConfigError: as `for_model`.
    """
    if config.recipe != "paper":
        return config
    recipe, defaults = for_model(config.model), default_config()
    config.batch_size = recipe.batch_size
    config.label_smoothing = recipe.label_smoothing
    config.ema_decay = recipe.ema_decay
    config.optimizer = defaults.optimizer
    config.optimizer.update(_SGD | dict(recipe.optimizer))
    config.augmentation = defaults.augmentation
    config.augmentation.update(recipe.augmentation)
    return config
