"""A recognizer: a trained model that labels pictures from anywhere, with confidences.

recognizer = Recognizer.from_run("runs/digits/runs/resnet50-seed0")
prediction = recognizer.recognize(["a.jpg", Image.open("b.png"), np.zeros((80, 60, 3), np.uint8)])
prediction.decisions[0], prediction.confidences[0]
"""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from benchmarks.errors import ConfigError
from benchmarks.inference import trained_model
from benchmarks.inference.trained_model import TrainedModel
from benchmarks.machine.mesh import create_mesh, place_batch, replicated, round_up_to_devices
from benchmarks.steps.eval_step import eval_batch_size
from input_pipeline import pictures

# Batch sizes for few pictures, each of which needs a compiled program.
_SMALL_BATCHES = (1, 8)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is recognized in some pictures.

    Attributes:
      labels: the class that each column of `confidences` is about.
      confidences: float32 [pictures, labels], from 0 to 1; NaN for a picture that cannot be read.
      decisions: for each picture the labels decided on; None for a picture that cannot be read.
      errors: for each picture why it cannot be read, or None.
      calibrated: whether the confidences are divided by a temperature that was fitted.
    """

    labels: tuple[str, ...]
    confidences: np.ndarray
    decisions: tuple[tuple[str, ...] | None, ...]
    errors: tuple[str | None, ...]
    calibrated: bool

    def top(self, index: int, count: int = 0) -> list[tuple[str, float]]:
        """Returns (label, confidence) of a picture, the most confident first; `count` of them, or all."""
        order = np.argsort(-self.confidences[index], kind="stable")[: count or None]
        return [(self.labels[each], float(self.confidences[index, each])) for each in order]


class Recognizer:
    """Recognizes pictures by trained weights.

    Attributes:
      trained: the model, and how pictures are shown to it.
      threshold: the confidence that a label needs; None for the thresholds chosen on the validation split, which
        single_label does without.
    """

    def __init__(self, trained: TrainedModel, threshold: float | None = None):
        """Takes the weights, and compiles nothing yet.

        Raises:
          ConfigError: a threshold that is not from 0 to 1.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"a threshold is from 0 to 1, not {threshold}.")
        self.trained = trained
        self.threshold = threshold
        self._mesh = create_mesh()
        self._answer = jax.jit(
            functools.partial(trained_model.confidences, trained.model),
            out_shardings=replicated(self._mesh),
        )

    @classmethod
    def from_run(
        cls, workdir: str | Path, threshold: float | None = None, **changes
    ) -> "Recognizer":
        """Returns the recognizer of a finished run; see `trained_model.from_run`."""
        return cls(trained_model.from_run(workdir, **changes), threshold)

    @classmethod
    def from_weights(
        cls, model: str | None, weights: str | Path, threshold: float | None = None, **changes
    ) -> "Recognizer":
        """Returns the recognizer of a file of weights; see `trained_model.from_weights`."""
        return cls(trained_model.from_weights(model, weights, **changes), threshold)

    def recognize(self, images: Sequence[pictures.Picture]) -> Prediction:
        """Returns what is recognized in the pictures.

        Args:
          images: paths of files, Pillow images, or arrays uint8 [height, width, 3] or [height, width], of any size.
        """
        parts = [*self.stream(images)]
        empty = np.zeros((0, len(self.trained.logit_names)), np.float32)
        return Prediction(
            self.trained.logit_names,
            np.concatenate([empty, *(part.confidences for part in parts)]),
            tuple(each for part in parts for each in part.decisions),
            tuple(each for part in parts for each in part.errors),
            self.trained.calibrated,
        )

    def stream(self, images: Sequence[pictures.Picture]) -> Iterator[Prediction]:
        """Yields the same a batch at a time, in order, and reads the next ones meanwhile."""
        # The device works on a batch while the one before it is being used.
        waiting: collections.deque = collections.deque()
        for batch in self.read(images):
            waiting.append((self.answer(batch.image), batch.errors))
            if len(waiting) > 1:
                yield self._prediction(*waiting.popleft())
        while waiting:
            yield self._prediction(*waiting.popleft())

    def read(self, images: Sequence[pictures.Picture]) -> Iterator[pictures.PictureBatch]:
        """Yields the pictures in batches, as the model sees them, read ahead by threads."""
        return pictures.batches(
            images,
            batch_size=self._batch_size(len(images)),
            image_size=self.trained.image_size,
            crop_fraction=self.trained.config.crop_fraction,
            interpolation=self.trained.config.interpolation,
            crops=self.trained.config.eval_crops,
            max_pixels=self.trained.config.max_pixels,
        )

    def answer(self, images: np.ndarray) -> dict[str, jax.Array]:
        """Returns the `confidence` of each label and its `raw` one, before any temperature; does not wait for them.

        Args:
          images: one of `read`'s batches.
        """
        placed = place_batch({"image": images}, self._mesh)["image"]
        return self._answer(
            self.trained.params, self.trained.batch_stats, placed, self.trained.temperature
        )

    def _batch_size(self, count: int) -> int:
        usual = eval_batch_size(self.trained.setup)
        sizes = [size for size in _SMALL_BATCHES if count <= size < usual]
        return round_up_to_devices(min([*sizes, usual]))

    def _prediction(self, answer: dict[str, jax.Array], errors: list[str | None]) -> Prediction:
        fetched = jax.device_get(answer)
        confidences = fetched["confidence"][: len(errors)].astype(np.float32)
        raw = fetched["raw"][: len(errors)]
        unreadable = np.array([error is not None for error in errors], bool)
        confidences[unreadable] = np.nan
        decisions = tuple(
            None if error else self.trained.decide(*row, self.threshold)
            for error, row in zip(errors, zip(confidences, raw, strict=True), strict=True)
        )
        labels = self.trained.logit_names
        return Prediction(labels, confidences, decisions, tuple(errors), self.trained.calibrated)
