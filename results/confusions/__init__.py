"""What a model takes for what, from what a run predicted: counts a class, confusions, reliability, mistakes.

For `python -m results.confusions`, the page, and the pictures of the mistakes that a run keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.rankings import confidence
from results.records.predictions import ManyLabels, Predictions, SingleLabel

MOST_MISTAKES = 24
# The matrix of more classes is not looked at; which are confused most is.
MOST_CLASSES = 30
_MOST_PAIRS = 20


@dataclass(frozen=True)
class Counts:
    """A class against the rest, or a label against its absence.

    Attributes:
      name: of the class.
      true_positives, false_positives, false_negatives, true_negatives: examples.
      precision: of those decided to be of the class, the share that is; None where none was.
      recall: of those of the class, the share decided to be, which is the accuracy on the class; None without any.
      f1: the harmonic mean of the two; None where neither the class nor a decision for it occurs.
      average_precision: over all thresholds, None in single_label and without positives.
      threshold: of the confidence in the label, at and above which it was decided on; None in single_label.
    """

    name: str
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None = None
    threshold: float | None = None

    @property
    def examples(self) -> int:
        """How many are of the class."""
        return self.true_positives + self.false_negatives


@dataclass(frozen=True)
class Matrix:
    """How many examples of each class (a row) were taken for each class (a column)."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Pair:
    """How many examples of the class `label` were taken for `predicted`."""

    label: str
    predicted: str
    examples: int


@dataclass(frozen=True)
class Bin:
    """A fifteenth of the range of confidences: the examples in it, their mean confidence and the share that is right.

    `confidence` and `right` are None without examples.
    """

    examples: int
    confidence: float | None
    right: float | None


@dataclass(frozen=True)
class Mistake:
    """A wrong decision: the example's place in the split, what it is and was taken for, and how sure the model was."""

    index: int
    label: str
    predicted: str
    confidence: float | None


@dataclass(frozen=True)
class Confusions:
    """What a model takes for what on a split.

    Attributes:
      split: `test` or `validation`.
      examples: how many there are.
      right: how many have no mistake.
      classes: the counts of each class or label.
      matrix: None in multi_label and of more than `MOST_CLASSES` classes.
      pairs: the most confused, the most frequent first; none in binary and multi_label.
      calibration_error: the expected one, see `results.confidence`; None where a confidence is not finite.
      reliability: of the confidence in what is decided (single_label), or in each label, of all labels together.
      mistakes: the most confident ones, the most confident first.
      all_mistakes: how many there are in all, over all labels.
    """

    split: str
    examples: int
    right: int
    classes: tuple[Counts, ...]
    matrix: Matrix | None
    pairs: tuple[Pair, ...]
    calibration_error: float | None
    reliability: tuple[Bin, ...]
    mistakes: tuple[Mistake, ...]
    all_mistakes: int


def of(found: Predictions) -> Confusions:
    """Returns what the model takes for what."""
    return _single_label(found) if isinstance(found, SingleLabel) else _many_labels(found)


def _single_label(found: SingleLabel) -> Confusions:
    number, label, predicted = len(found.names), found.label, found.predicted
    wrong = np.flatnonzero(label != predicted)
    true = np.bincount(label[label == predicted], minlength=number)
    classes = _counts(
        found.names,
        true,
        np.bincount(predicted, minlength=number) - true,
        np.bincount(label, minlength=number) - true,
        len(label),
    )
    order = _most_confident(found.confidence[wrong])
    mistakes = [
        Mistake(
            int(found.index[i]),
            found.names[label[i]],
            found.names[predicted[i]],
            _number(found.confidence[i]),
        )
        for i in wrong[order]
    ]
    return Confusions(
        split=found.split,
        examples=len(label),
        right=len(label) - len(wrong),
        classes=classes,
        matrix=_matrix(found.names, label, predicted) if number <= MOST_CLASSES else None,
        pairs=_pairs(found.names, label[wrong], predicted[wrong]),
        **_calibration(found.confidence, label == predicted),
        mistakes=tuple(mistakes),
        all_mistakes=len(wrong),
    )


def _many_labels(found: ManyLabels) -> Confusions:
    positive = found.positive
    sure = confidence.of_logits(found.logits, positive)
    decided = sure >= found.thresholds
    true = np.sum(decided & positive, axis=0)
    classes = _counts(
        found.names,
        true,
        decided.sum(axis=0) - true,
        positive.sum(axis=0) - true,
        len(positive),
        [average_precision(*each) for each in zip(positive.T, sure.T, strict=True)],
        found.thresholds.tolist(),
    )
    matrix = None
    if len(found.names) == 1:
        matrix = _matrix(
            (*found.absent, *found.names), positive[:, 0].astype(int), decided[:, 0].astype(int)
        )
    wrong = decided != positive
    rows, labels = np.nonzero(wrong)
    of_decision = np.where(decided, sure, 1 - sure)[rows, labels]
    mistakes = []
    for place in _most_confident(of_decision):
        row, label = rows[place], labels[place]
        said = (found.absent[label], found.names[label])
        mistakes.append(
            Mistake(
                int(found.index[row]),
                said[int(positive[row, label])],
                said[int(decided[row, label])],
                _number(of_decision[place]),
            )
        )
    return Confusions(
        split=found.split,
        examples=len(positive),
        right=int(np.sum(~wrong.any(axis=1))),
        classes=classes,
        matrix=matrix,
        pairs=(),
        **_calibration(confidence.sigmoid(found.logits).ravel(), positive.ravel()),
        mistakes=tuple(mistakes),
        all_mistakes=len(rows),
    )


def average_precision(positive: np.ndarray, score: np.ndarray) -> float | None:
    """Returns the sum of precision at each distinct score by the recall gained there, None without positives.

    As `sklearn.metrics.average_precision_score`.

    Args:
      positive: bool [examples].
      score: float [examples].
    """
    if not positive.any():
        return None
    order = np.argsort(-score, kind="stable")
    last_of_equals = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    true = np.cumsum(positive[order])[last_of_equals]
    precision = true / (last_of_equals + 1)
    return float(np.sum(np.diff(true, prepend=0) * precision) / true[-1])


def _counts(
    names: Sequence[str],
    true_positives: np.ndarray,
    false_positives: np.ndarray,
    false_negatives: np.ndarray,
    examples: int,
    average_precisions: Sequence[float | None] = (),
    thresholds: Sequence[float] = (),
) -> tuple[Counts, ...]:
    classes = []
    columns = (true_positives.tolist(), false_positives.tolist(), false_negatives.tolist())
    for i, (name, tp, fp, fn) in enumerate(zip(names, *columns, strict=True)):
        classes.append(
            Counts(
                name=name,
                true_positives=tp,
                false_positives=fp,
                false_negatives=fn,
                true_negatives=examples - tp - fp - fn,
                precision=_share(tp, tp + fp),
                recall=_share(tp, tp + fn),
                f1=_share(2 * tp, 2 * tp + fp + fn),
                average_precision=average_precisions[i] if average_precisions else None,
                threshold=thresholds[i] if thresholds else None,
            )
        )
    return tuple(classes)


def _matrix(names: tuple[str, ...], label: np.ndarray, predicted: np.ndarray) -> Matrix:
    number = len(names)
    flat = np.bincount(label.astype(np.int64) * number + predicted, minlength=number**2)
    return Matrix(names, tuple(map(tuple, flat.reshape(number, number).tolist())))


def _pairs(names: tuple[str, ...], label: np.ndarray, predicted: np.ndarray) -> tuple[Pair, ...]:
    codes, counts = np.unique(label.astype(np.int64) * len(names) + predicted, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_PAIRS]
    places = ((*divmod(int(codes[i]), len(names)), int(counts[i])) for i in order)
    return tuple(Pair(names[one], names[other], count) for one, other, count in places)


def _calibration(sure: np.ndarray, right: np.ndarray) -> dict[str, object]:
    bins = confidence.reliability(sure, right)
    examples = bins["examples"].tolist()
    return {
        "calibration_error": _number(confidence.expected_calibration_error(sure, right)),
        "reliability": tuple(
            Bin(count, _share(total, count), _share(correct, count))
            for count, total, correct in zip(
                examples, bins["confidence"].tolist(), bins["correct"].tolist(), strict=True
            )
        ),
    }


def _most_confident(sure: np.ndarray) -> np.ndarray:
    """Returns the places of the most confident, the first of equals first and those of NaN last."""
    comparable = np.where(np.isfinite(sure), sure, -1.0)
    return np.argsort(-comparable, kind="stable")[:MOST_MISTAKES]


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
