"""How much of the time to recognize pictures is the model's own, and not spent on reading and labeling them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import timing
from benchmarks.recognize.recognizer import Recognizer
from input_pipeline.errors import DataError

_ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class RecognitionSpeed:
    """The seconds that recognizing pictures takes, from their files to their labels.

    Attributes:
      model: its name with its options.
      image_size: what pictures are resized to, pixels a side.
      pictures: how many there are.
      seconds: how long all of them take, the median over rounds.
      model_seconds: how long the model alone takes on the same batches, read before.
      model_share: the median over rounds of model_seconds / seconds, which are measured in turns.
      rounds: how many times both were measured.
    """

    model: str
    image_size: int
    pictures: int
    seconds: float
    model_seconds: float
    model_share: float
    rounds: int


def measure(workdir: str | Path, paths: Sequence[Path]) -> RecognitionSpeed:
    """Returns how fast a finished run recognizes the files.

    Raises:
      ConfigError, DataError: one sentence on what is wrong, such as a file that is not a picture.
    """
    recognizer = Recognizer.from_run(workdir)
    read = [*recognizer.read(paths)]
    errors = [error for batch in read for error in batch.errors if error]
    if errors:
        raise DataError(errors[0])
    batches = [batch.image for batch in read]
    time_model_alone(recognizer, batches)
    whole, alone = [], []
    for _ in range(_ROUNDS):
        whole.append(timing.seconds(lambda: recognizer.recognize(paths)))
        alone.append(time_model_alone(recognizer, batches))
    return RecognitionSpeed(
        model=recognizer.trained.label,
        image_size=recognizer.trained.image_size,
        pictures=len(paths),
        seconds=float(np.median(whole)),
        model_seconds=float(np.median(alone)),
        model_share=float(np.median(np.divide(alone, whole))),
        rounds=_ROUNDS,
    )


def time_model_alone(recognizer: Recognizer, batches: Sequence[np.ndarray]) -> float:
    """Returns the seconds that the model alone takes on batches in the host's memory."""
    return timing.seconds(lambda: [recognizer.answer(batch) for batch in batches])
