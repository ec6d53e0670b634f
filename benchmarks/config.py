"""What a run is told: every field with its meaning, and the checks that turn a mistake into one sentence."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import models
from benchmarks.errors import ConfigError
from input_pipeline import augmentation

RECIPES = ("common", "paper")
DTYPES = ("float32", "bfloat16")
BATCH_NORM_SCOPES = ("global", "device")
SMALLEST = "smallest"
PUBLISHED = "published"
# With image_size "smallest", sides are multiples of this, so that every stage halves evenly.
_SIZE_STEP = 32


def default_config() -> ConfigDict:
    """Returns the configuration that every file in `benchmarks/configs` starts from."""
    config = ConfigDict()
    # What is compared. `model` is one run's; the suite trains `suite.models` x `suite.seeds`.
    config.model = "resnet50"
    config.seed = 0
    config.suite = ConfigDict({"models": ("resnet50",), "seeds": (0,)})

    # The data, the same for every model. Splits are TFDS's, slices included. The test split is read once, at the end.
    config.dataset = "digits"
    config.data_dir = ""  # where prepared datasets lie; TFDS's own directory if empty
    # `single_label`, `binary` (a class against the rest) or `multi_label` (docs/tasks.md).
    config.task = "single_label"
    config.positive_class = ""  # binary: the class by its name; of two classes the second if empty
    # binary, multi_label: how much more a positive's loss weighs than a negative's, or "balanced" by their numbers.
    config.positive_weight = "1"
    config.train_split = "train"
    config.validation_split = "validation"
    config.test_split = "test"
    # Pixels a side; "smallest": the smallest multiple of 32 that the model accepts; "published": its authors' own.
    config.image_size = SMALLEST
    # Each channel's mean and deviation, of pixels scaled to 0..1; empty for the model's own, which its weights need.
    config.mean = ()
    config.std = ()
    # In evaluation: the part of the shorter side that is seen, how it is resized, and how many crops (1, 10) count.
    config.crop_fraction = 1.0
    config.interpolation = "bilinear"  # or bicubic
    config.eval_crops = 1
    config.num_workers = 0  # processes that prepare batches; 0 means threads
    config.max_unreadable_fraction = (
        0.001  # of a split's examples; more that cannot be read stop the run
    )

    # By chance, in training. On the host: `crop` and `changes` by the names of `input_pipeline/augmentation.py`, each
    # with its options; `repeats` takes each example so often in a row. On the device: `random_erasing` is a
    # probability, `mixup` and `cutmix` are the alphas of their Beta distributions; 0 is without.
    config.augmentation = ConfigDict(
        augmentation.defaults() | {"random_erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}
    )

    # What the weights begin with (docs/transfer.md), all but the head: drawn if empty; else those of a finished run's
    # folder, of a suite's (its run of the same model and seed), of a path with {model} and {seed} in it, or of a .pth
    # or .safetensors file.
    config.init_from = ""
    config.transfer = ConfigDict(
        {
            "frozen_stages": "",  # names with commas between them, or "all": everything but the head
            "backbone_learning_rate": 1.0,  # of all but the head, as a factor of the learning rate
        }
    )

    # The budget, the same for every model: training `examples` (repeats counted), `epochs`, training `flops`, or
    # `seconds` of training on this machine, which a short calibration turns into steps.
    config.budget = ConfigDict({"kind": "examples", "amount": 4096.0})
    config.batch_size = 32  # over all devices
    config.eval_batch_size = 64
    config.eval_image_size = ""  # pixels a side; that of training if empty
    # Pixels a side of the run's first parts, all parts being as long; the last part has image_size.
    config.progressive_sizes = ()
    config.accumulation = (
        1  # parts in which a batch is worked on, one after another, to save memory
    )
    config.remat = False  # compute the stages' insides again for the gradients, to save memory
    config.batch_norm_scope = "global"  # statistics over the whole batch, or each "device"'s part
    config.ema_decay = (
        0.0  # of moving averages of the weights, which are then evaluated; 0 is without
    )

    # The recipe: `common` is one optimiser and one schedule shape for all; `paper` is what each model's paper trained
    # with (benchmarks/recipes.py), which sets the batch size, the optimiser, the augmentation, label smoothing and the
    # averaging of weights, whatever is written here.
    config.recipe = "common"
    config.optimizer = ConfigDict(
        {
            "name": "adamw",  # or sgd, rmsprop, lamb
            "learning_rate": 1e-3,  # the peak, where the next line does not name the model
            "model_learning_rates": ConfigDict(),  # by model name, chosen by equal tuning on the validation split
            "schedule": "warmup_cosine",  # or linear, constant, step, exponential
            "warmup_fraction": 0.1,  # of the steps
            "step_fractions": (1 / 3, 2 / 3),  # step: where in the run the rate drops
            "step_factor": 0.1,  # and to how much of what it was
            "exponential_rate": 0.94,  # exponential: what the rate is multiplied by
            "exponential_every": 0.02,  # each time that so much of the run is over
            "weight_decay": 0.01,
            "decay_all": False,  # on kernels alone, or on biases and norms too
            "decay_depthwise": True,  # on the kernels of depthwise convolutions too
            "beta1": 0.9,  # AdamW, LAMB
            "beta2": 0.999,
            "momentum": 0.9,  # SGD, RMSProp
            "nesterov": False,
            "rmsprop_decay": 0.9,
            "rmsprop_epsilon": 1e-3,  # under the square root
            "clip_norm": 1.0,  # of the gradient's global norm; 0 for none
        }
    )
    config.label_smoothing = 0.0
    config.dtype = (
        "float32"  # of the computation; parameters, batch statistics and logits are float32
    )

    config.deterministic = False  # on GPUs too the same bits each time; set by --deterministic

    # Equal tuning (docs/tuning.md): from where to where each tuned field is searched, under the field's own name; the
    # file with what was found; and, written by the harness, how many trials chose this run's values.
    config.tuning = ConfigDict()  # such as {"optimizer": {"learning_rate": (1e-4, 1e-1)}}
    config.tuned = ""
    config.tuning_trials = 0
    config.resolved = False  # written by the harness: recipe and tuned values are in their fields

    # What is written, and when.
    config.log_every_steps = 10
    config.checkpoint_every_steps = 1000
    # How often the validation split is evaluated before the end, for learning curves; 0 is never. No choice is made by
    # it, and the clock of training stands still meanwhile.
    config.validate_every_steps = 0
    return config


def for_run(config: ConfigDict, spec: str, seed: int) -> ConfigDict:
    """Returns the configuration of one run of a suite, its recipe and tuned values in it.

    Raises:
      models.ModelError: no such model or option.
      ConfigError: as `resolved`.
    """
    run = ConfigDict(to_plain(config))
    run.model = models.label(*models.parse(spec))
    run.seed = seed
    run.suite = ConfigDict({"models": (run.model,), "seeds": (seed,)})
    return resolved(run)


def resolved(config: ConfigDict) -> ConfigDict:
    """Returns the configuration of one run with its recipe's and then its tuned values in their fields.

    That of an earlier run, which has them, is returned as it is, so that a record runs again as it ran.

    Raises:
      models.ModelError: no such model or option.
      ConfigError: no recipe for this model, or nothing tuned for it.
    """
    from benchmarks import recipes, tuning

    if config.resolved:
        return config
    run = tuning.apply(recipes.apply(config.copy_and_resolve_references()))
    run.resolved = True
    return run


def run_id(config: ConfigDict) -> str:
    """Returns the name of a run's folder: `mobilenet_v1-width=0.5-seed0`."""
    return f"{folder_name(config.model)}-seed{config.seed}"


def folder_name(spec: str) -> str:
    """Returns a model's name and options as a folder's name has them: `mobilenet_v1-width=0.5`."""
    return models.label(*models.parse(spec)).replace(":", "-").replace(",", "-")


def split_specs(text: str) -> list[str]:
    """Splits at commas, but not between the options of one model: `a:x=1,y=2,b` is `a:x=1,y=2` and `b`."""
    specs: list[str] = []
    for part in text.split(","):
        if specs and "=" in part and ":" not in part and ":" in specs[-1]:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
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
            f'config.image_size is a number of pixels, "{SMALLEST}" or "{PUBLISHED}", not {config.image_size!r}.'
        ) from None


def train_sizes(config: ConfigDict) -> tuple[int, ...]:
    """Returns the image side, in pixels, of each part of the run; all parts are as long."""
    return (*map(int, config.progressive_sizes), image_size(config))


def eval_image_size(config: ConfigDict) -> int:
    """Returns the image side, in pixels, of evaluation."""
    return int(config.eval_image_size) if config.eval_image_size else image_size(config)


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """Returns the configuration of a run as JSON has it: nested dicts, lists and scalars, without the suite's part."""
    plain = json.loads(config.to_json_best_effort())
    plain.pop("suite", None)
    return plain


def load(path: Path) -> ConfigDict:
    """Returns the configuration in a `config.json`, or the one a `record.json` holds.

    Raises:
      ConfigError: no such file, or not a configuration.
    """
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration at {path}.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}.") from None
    content = content.get("config", content) if isinstance(content, dict) else None
    if not isinstance(content, dict) or "budget" not in content:
        raise ConfigError(f"{path} holds no configuration.")
    config = default_config()
    with config.unlocked():
        config.update(_migrated(content))
    config.suite = ConfigDict({"models": (config.model,), "seeds": (config.seed,)})
    return config


# What `config.augmentation` was before its parts could be set one by one.
_NAMED_AUGMENTATIONS = {
    "none": {},
    "shift": {"changes": ("shift",)},
    "crop_flip": {"crop": "random_resized", "changes": ("flip",)},
    "pad_crop_flip": {"changes": ("pad_and_crop", "flip")},
}


def _migrated(content: dict[str, Any]) -> dict[str, Any]:
    """Returns an older record's configuration as it is written today."""
    name = content.get("augmentation")
    if not isinstance(name, str):
        return content
    return content | {"augmentation": _NAMED_AUGMENTATIONS[name]}


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields `field: ours, not theirs` for each field in which two plain configurations differ."""
    for key in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, dict) and isinstance(other, dict):
            yield from differences(mine, other, f"{prefix}{key}.")
        elif mine != other:
            yield f"{prefix}{key} is {mine!r} there, {other!r} here"
