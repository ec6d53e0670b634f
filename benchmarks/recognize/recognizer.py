"""A recognizer: trained weights, to labels with confidences for pictures from anywhere.

recognizer = recognition.Recognizer.from_run("runs/digits/runs/resnet50-seed0")
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
from benchmarks.machine.mesh import create_mesh, place_batch, replicated, round_up_to_devices
from benchmarks.steps.eval_step import eval_batch_size
from input_pipeline import pictures

# Pictures worked on at once where there are few: one compiled program each.
_SMALL_BATCHES = (1, 8)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is recognised in some pictures.

    Attributes:
      labels: which class each column of `confidences` is about.
      confidences: float32 [pictures, labels], from 0 to 1; NaN for a picture that cannot be read.
      decisions: for each picture the labels that are decided on; None for one that cannot be read.
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
    """Recognises pictures by trained weights.

    Attributes:
      found: the weights, and how pictures are shown to them.
      temperature: what logits are divided by; 1 where the confidences are not calibrated.
      threshold: of the confidence a label needs; None for what was chosen on the validation split, and in single_label
        for none.
    """

    def __init__(self, found: trained_model.Trained, threshold: float | None = None):
        """Takes the weights; compiles nothing yet.

        Raises:
          ConfigError: a threshold that is not from 0 to 1.
        """
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"a threshold is from 0 to 1, not {threshold}.")
        self.found = found
        decision = found.record and found.record.decision
        self.calibrated = bool(decision and decision.temperature)
        self.temperature = decision.temperature if self.calibrated else 1.0
        self.threshold = threshold
        self._mesh = create_mesh()
        self._answer = jax.jit(
            functools.partial(_answer, found.model), out_shardings=replicated(self._mesh)
        )

    @classmethod
    def from_run(
        cls, workdir: str | Path, threshold: float | None = None, **changes
    ) -> "Recognizer":
        """Returns that of a finished run; see `trained.from_run`."""
        return cls(trained_model.from_run(workdir, **changes), threshold)

    @classmethod
    def from_weights(
        cls, model: str, weights: str | Path, threshold: float | None = None, **changes
    ) -> "Recognizer":
        """Returns that of a file of weights; see `trained.from_weights`."""
        return cls(trained_model.from_weights(model, weights, **changes), threshold)

    def recognize(self, images: Sequence[pictures.Picture]) -> Prediction:
        """Returns what is recognised in the pictures.

        Args:
          images: files' paths, Pillow's images, or arrays uint8 [height, width, 3] or [height, width], of any size.
        """
        parts = [*self.stream(images)]
        empty = np.zeros((0, len(self.found.logit_names)), np.float32)
        return Prediction(
            self.found.logit_names,
            np.concatenate([empty, *(part.confidences for part in parts)]),
            tuple(each for part in parts for each in part.decisions),
            tuple(each for part in parts for each in part.errors),
            self.calibrated,
        )

    def stream(self, images: Sequence[pictures.Picture]) -> Iterator[Prediction]:
        """Yields the same, a batch at a time, in order; the next ones are read meanwhile."""
        # The device works on a batch while the one before is looked at.
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
            image_size=self.found.image_size,
            crop_fraction=self.found.config.crop_fraction,
            interpolation=self.found.config.interpolation,
            crops=self.found.config.eval_crops,
        )

    def answer(self, images: np.ndarray) -> dict[str, jax.Array]:
        """Returns the `confidence` of each label and its `raw` one, before any temperature; does not wait for them.

        Args:
          images: one of `read`'s batches.
        """
        found = self.found
        placed = place_batch({"image": images}, self._mesh)["image"]
        return self._answer(found.params, found.batch_stats, placed, self.temperature)

    def _batch_size(self, count: int) -> int:
        usual = eval_batch_size(self.found.config)
        sizes = [size for size in _SMALL_BATCHES if count <= size < usual]
        return round_up_to_devices(min([*sizes, usual]))

    def _prediction(self, answer: dict[str, jax.Array], errors: list[str | None]) -> Prediction:
        fetched = jax.device_get(answer)
        confidences = fetched["confidence"][: len(errors)].astype(np.float32)
        raw = fetched["raw"][: len(errors)]
        unreadable = np.array([error is not None for error in errors], bool)
        confidences[unreadable] = np.nan
        decisions = tuple(
            None if error else self._decide(*row)
            for error, row in zip(errors, zip(confidences, raw, strict=True), strict=True)
        )
        labels = self.found.logit_names
        return Prediction(labels, confidences, decisions, tuple(errors), self.calibrated)

    def _decide(self, confidence: np.ndarray, raw: np.ndarray) -> tuple[str, ...]:
        """Returns the labels that one picture gets.

        Thresholds from the validation split are of confidences as they were before any temperature.
        """
        if self.threshold is not None:
            above = confidence >= self.threshold
        else:
            above = None if self.found.thresholds is None else raw >= self.found.thresholds
        return self.found.model.task.decide(confidence, above, self.found.class_names)


def _answer(model, params, batch_stats, images, temperature):
    logits = model.logits(params, batch_stats, images)
    return {
        "confidence": model.task.confidences(logits / temperature),
        "raw": model.task.confidences(logits),
    }
