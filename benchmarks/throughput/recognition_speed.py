"""How much of recognizing pictures is the model's own work, and how much reading them and telling the labels."""

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
      model: with its options.
      image_size: what pictures are resized to, pixels a side.
      pictures: how many.
      seconds: of all of them, the median over rounds.
      model_seconds: of the model alone on the same batches, read before.
      model_share: the median over rounds of model_seconds / seconds, which are measured in turns.
      rounds: how many.
    """

    model: str
    image_size: int
    pictures: int
    seconds: float
    model_seconds: float
    model_share: float
    rounds: int


def measure(workdir: str | Path, paths: Sequence[Path]) -> RecognitionSpeed:
    """Measures a finished run on the files.

    Raises:
      ConfigError, DataError: one sentence on what is wrong; a file that is no picture among it.
    """
    recognizer = Recognizer.from_run(workdir)
    read = [*recognizer.read(paths)]
    errors = [error for batch in read for error in batch.errors if error]
    if errors:
        raise DataError(errors[0])
    batches = [batch.image for batch in read]
    _alone(recognizer, batches)
    whole, alone = [], []
    for _ in range(_ROUNDS):
        whole.append(timing.seconds(lambda: recognizer.recognize(paths)))
        alone.append(_alone(recognizer, batches))
    return RecognitionSpeed(
        model=recognizer.trained.label,
        image_size=recognizer.trained.image_size,
        pictures=len(paths),
        seconds=float(np.median(whole)),
        model_seconds=float(np.median(alone)),
        model_share=float(np.median(np.divide(alone, whole))),
        rounds=_ROUNDS,
    )


def _alone(recognizer: Recognizer, batches: Sequence[np.ndarray]) -> float:
    """Returns the seconds of the model on batches in the host's memory."""
    return timing.seconds(lambda: [recognizer.answer(batch) for batch in batches])
