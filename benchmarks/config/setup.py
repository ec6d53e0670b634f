"""A run's configuration together with what follows from it: worked out once and then passed on."""

import dataclasses

from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import derived


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """How one model is fed, trained and evaluated.

    Attributes:
      config: the run's, resolved and checked; what needs no working out is read from it.
      num_logits: the outputs of the model's head.
      task: the task that the logits are for.
      model: its name with its options, as tables show it.
      train_sizes: the image side, in pixels, of each part of training; all parts are equally long.
      eval_image_size: the image side, in pixels, of evaluation.
      learning_rate: the peak.
      mean, std: each channel's mean and standard deviation, for images scaled to 0..1.
    """

    config: ConfigDict
    num_logits: int
    task: tasks.Task
    model: str
    train_sizes: tuple[int, ...]
    eval_image_size: int
    learning_rate: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def image_size(self) -> int:
        """The image side, in pixels, that training ends with."""
        return self.train_sizes[-1]


def set_up(config: ConfigDict, num_logits: int) -> Setup:
    """Returns the setup of a run with this many logits, whose configuration has been checked (`runs/validation.py`)."""
    info = models.info(config.model)
    return Setup(
        config=config,
        num_logits=num_logits,
        task=tasks.TASKS[config.task],
        model=models.label(*models.parse(config.model)),
        train_sizes=derived.train_sizes(config),
        eval_image_size=derived.eval_image_size(config),
        learning_rate=derived.learning_rate(config),
        mean=tuple(config.mean or info.mean),
        std=tuple(config.std or info.std),
    )
