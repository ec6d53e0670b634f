"""How many examples and classes a configuration's dataset has, whether it is here or not."""

import dataclasses
from collections.abc import Mapping

from ml_collections import ConfigDict

from benchmarks import tasks
from input_pipeline import splits
from input_pipeline.errors import DataError

# (classes, examples of each split) of datasets that are planned for before anybody prepares them.
_PUBLISHED: Mapping[str, tuple[int, Mapping[str, int]]] = {
    "imagenet2012": (1000, {"train": 1_281_167, "validation": 50_000}),
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What a plan needs to know of the data.

    Attributes:
      num_logits: the outputs of a model's head.
      train_examples: in an epoch.
      evaluated_examples: in the validation and the test split together.
    """

    num_logits: int
    train_examples: int
    evaluated_examples: int


def sizes(config: ConfigDict) -> Sizes:
    """Returns the sizes of a configuration's dataset.

    Raises:
      DataError: it is not here, and its sizes are not known either.
    """
    evaluated = [split for split in (config.validation_split, config.test_split) if split]
    try:
        dataset = tasks.load_dataset(config)
    except DataError:
        if config.dataset not in _PUBLISHED or config.task != tasks.SINGLE_LABEL.name:
            raise
        classes, examples = _PUBLISHED[config.dataset]

        def count(split: str) -> int:
            ranges = splits.resolve(split, examples, config.dataset)
            return sum(each.stop - each.start for each in ranges)

        return Sizes(classes, count(config.train_split), sum(map(count, evaluated)))
    return Sizes(
        num_logits=len(tasks.TASKS[config.task].logit_names(dataset.class_names)),
        train_examples=dataset.num_examples(config.train_split),
        evaluated_examples=sum(map(dataset.num_examples, evaluated)),
    )
