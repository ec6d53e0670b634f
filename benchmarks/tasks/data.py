"""A task's dataset, and how much its positives weigh."""

import numpy as np
from ml_collections import ConfigDict

import models
from benchmarks.errors import ConfigError
from benchmarks.tasks.task import BINARY, SINGLE_LABEL, TASKS
from input_pipeline import datasets
from isobudget.wording import quoted, shown

# How many examples of the training split are counted to weigh its labels.
_COUNTED_EXAMPLES = 10_000
BALANCED = "balanced"


def load_dataset(config: ConfigDict) -> datasets.Dataset:
    """Returns the dataset of a configuration, with its labels in the task's form.

    Raises:
      DataError: as `datasets.load`.
      ConfigError: its labels are not those of the task.
    """
    dataset = datasets.load(config.dataset, config.data_dir or None, config.positive_class)
    TASKS[config.task].check(dataset)
    return dataset


def validate(config: ConfigDict) -> None:
    """Checks the fields of a configuration that are about its task.

    Raises:
      ConfigError: one has an impossible value.
    """
    if config.task not in TASKS:
        raise ConfigError(f"config.task is one of {', '.join(TASKS)}, not {shown(config.task)}.")
    if config.positive_class and config.task != BINARY.name:
        raise ConfigError(f"config.positive_class goes with config.task=binary, not {config.task}.")
    if config.task == SINGLE_LABEL.name and config.positive_weight != "1":
        raise ConfigError("config.positive_weight goes with config.task=binary or multi_label.")
    if config.positive_weight != BALANCED:
        try:
            weight = float(config.positive_weight)
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise ConfigError(
                f"config.positive_weight is a number above 0 or {quoted(BALANCED)}, not"
                f" {shown(config.positive_weight)}."
            )

    name, options = models.parse(config.model)
    if config.task != SINGLE_LABEL.name and (models.info(name).options | options).get("final_relu"):
        raise ConfigError(
            f"{config.model} has a ReLU after its logits, and no sigmoid of that is below a half: for"
            f" config.task={config.task} set its option final_relu=false."
        )


def positive_weights(config: ConfigDict, dataset: datasets.Dataset) -> tuple[float, ...]:
    """Returns how much more the loss of a positive weighs than that of a negative, for each logit.

    With `balanced` it is the number of negatives per positive in the training split (in 10,000 evenly spaced examples,
    if it has more), so that both weigh the same; 1 for a label that lacks either. Empty if all weigh 1.
    """
    if config.positive_weight == "1":
        return ()
    number = len(TASKS[config.task].logit_names(dataset.class_names))
    if config.positive_weight != BALANCED:
        return (float(config.positive_weight),) * number
    source = dataset.source(config.train_split)
    counted = min(len(source), _COUNTED_EXAMPLES)
    positives = np.zeros(number)
    for position in range(counted):
        positives += source[position * len(source) // counted]["label"]
    both = (positives > 0) & (positives < counted)
    weights = np.where(both, (counted - positives) / np.maximum(positives, 1), 1.0)
    return tuple(map(float, weights))
