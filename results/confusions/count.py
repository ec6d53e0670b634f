"""Counts the confusions of a split: each class, which are confused, how far confidence is right, the worst mistakes."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from results.confusions.schema import (
    MOST_CLASSES,
    MOST_MISTAKES,
    MOST_PAIRS,
    Bin,
    Confusions,
    Counts,
    Matrix,
    Mistake,
    Pair,
)
from results.rankings import confidence
from results.records.predictions import ManyLabels, Predictions, SingleLabel


def of(kept: Predictions) -> Confusions:
    """Returns which classes the model mistakes for which, from the predictions that a run kept of a split."""
    return _single_label(kept) if isinstance(kept, SingleLabel) else _many_labels(kept)


def _single_label(kept: SingleLabel) -> Confusions:
    number, label, predicted = len(kept.names), kept.label, kept.predicted
    wrong = np.flatnonzero(label != predicted)
    true = np.bincount(label[label == predicted], minlength=number)
    classes = _counts(
        kept.names,
        true,
        np.bincount(predicted, minlength=number) - true,
        np.bincount(label, minlength=number) - true,
        len(label),
    )
    order = _most_confident(kept.confidence[wrong])
    mistakes = [
        Mistake(
            int(kept.index[i]),
            kept.names[label[i]],
            kept.names[predicted[i]],
            _number(kept.confidence[i]),
        )
        for i in wrong[order]
    ]
    return Confusions(
        split=kept.split,
        examples=len(label),
        right=len(label) - len(wrong),
        classes=classes,
        matrix=_matrix(kept.names, label, predicted) if number <= MOST_CLASSES else None,
        pairs=_pairs(kept.names, label[wrong], predicted[wrong]),
        **_calibration(kept.confidence, label == predicted),
        mistakes=tuple(mistakes),
        all_mistakes=len(wrong),
    )


def _many_labels(kept: ManyLabels) -> Confusions:
    positive = kept.positive
    sure = confidence.of_logits(kept.logits, positive)
    decided = sure >= kept.thresholds
    true = np.sum(decided & positive, axis=0)
    classes = _counts(
        kept.names,
        true,
        decided.sum(axis=0) - true,
        positive.sum(axis=0) - true,
        len(positive),
        [average_precision(*each) for each in zip(positive.T, sure.T, strict=True)],
        kept.thresholds.tolist(),
    )
    matrix = None
    if len(kept.names) == 1:
        matrix = _matrix(
            (*kept.absent, *kept.names), positive[:, 0].astype(int), decided[:, 0].astype(int)
        )
    wrong = decided != positive
    rows, labels = np.nonzero(wrong)
    of_decision = np.where(decided, sure, 1 - sure)[rows, labels]
    mistakes = []
    for place in _most_confident(of_decision):
        row, label = rows[place], labels[place]
        names = kept.absent[label], kept.names[label]
        mistakes.append(
            Mistake(
                int(kept.index[row]),
                names[int(positive[row, label])],
                names[int(decided[row, label])],
                _number(of_decision[place]),
            )
        )
    return Confusions(
        split=kept.split,
        examples=len(positive),
        right=int(np.sum(~wrong.any(axis=1))),
        classes=classes,
        matrix=matrix,
        pairs=(),
        **_calibration(confidence.sigmoid(kept.logits).ravel(), positive.ravel()),
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
    order = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
    places = ((*divmod(int(codes[i]), len(names)), int(counts[i])) for i in order)
    return tuple(Pair(names[one], names[other], count) for one, other, count in places)


class _Calibration(TypedDict):
    calibration_error: float | None
    reliability: tuple[Bin, ...]


def _calibration(sure: np.ndarray, right: np.ndarray) -> _Calibration:
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
