"""The metrics of a split, from what was predicted for each of its examples."""

from collections.abc import Mapping

import numpy as np

from results.rankings.confidence import expected_calibration_error, of_logits, sigmoid

# Arrays by name, with a value (or row) for each example, as `benchmarks.tasks.Task.predict` makes them.
Predictions = Mapping[str, np.ndarray]


def single_label(predictions: Predictions) -> dict[str, float]:
    """Returns top1, top5 and ece (fractions), loss (nats) and examples, from `rank`, `loss` and `confidence`."""
    rank = predictions["rank"]
    return {
        "top1": float(np.mean(rank < 1)),
        "top5": float(np.mean(rank < 5)),
        "loss": float(np.mean(predictions["loss"], dtype=np.float64)),
        "ece": expected_calibration_error(predictions["confidence"], rank < 1),
        "examples": len(rank),
    }


def binary(predictions: Predictions, thresholds: np.ndarray) -> dict[str, float]:
    """Returns the binary metrics of `logits` and `targets` [examples, 1], decided at the threshold [1].

    All are fractions but loss (nats) and examples. roc_auc needs positives and negatives and average_precision needs
    positives: without them they are NaN. ece is that of the confidence in the positive class.
    """
    from sklearn import metrics

    confidence, positive = confidences(predictions)[:, 0], predictions["targets"][:, 0] > 0.5
    decided = confidence >= thresholds[0]
    both = 0 < positive.sum() < len(positive)
    values = {
        "accuracy": np.mean(decided == positive),
        "precision": metrics.precision_score(positive, decided, zero_division=0.0),
        "recall": metrics.recall_score(positive, decided, zero_division=0.0),
        "f1": metrics.f1_score(positive, decided, zero_division=0.0),
        "roc_auc": metrics.roc_auc_score(positive, confidence) if both else np.nan,
        "average_precision": _average_precision(positive, confidence),
        "loss": _sigmoid_loss(predictions),
        "ece": expected_calibration_error(sigmoid(predictions["logits"][:, 0]), positive),
    }
    return {name: float(value) for name, value in values.items()} | {"examples": len(positive)}


def multi_label(predictions: Predictions, thresholds: np.ndarray) -> dict[str, float]:
    """Returns the multi-label metrics of `logits` and `targets` [examples, labels], decided at thresholds [labels].

    All are fractions but loss (nats, the mean over examples and labels) and examples. mean_average_precision is over
    the labels that have a positive, NaN if none has; macro_f1 is over all labels, 0 for one without positives and
    decisions.
    """
    from sklearn import metrics

    confidence, positive = confidences(predictions), predictions["targets"] > 0.5
    decided = confidence >= thresholds
    precisions = [
        _average_precision(*label) for label in zip(positive.T, confidence.T, strict=True)
    ]
    measured = [value for value in precisions if not np.isnan(value)]
    averages = {
        f"{average}_f1": metrics.f1_score(positive, decided, average=average, zero_division=0.0)
        for average in ("micro", "macro")
    }
    values = {
        "mean_average_precision": np.mean(measured) if measured else np.nan,
        **averages,
        "exact_match": np.mean(np.all(decided == positive, axis=1)),
        "loss": _sigmoid_loss(predictions),
    }
    return {name: float(value) for name, value in values.items()} | {"examples": len(positive)}


def confidences(predictions: Predictions) -> np.ndarray:
    """Returns float64 [examples, labels], the sigmoid of `logits`; see `results.rankings.confidence.of_logits`."""
    return of_logits(predictions["logits"], predictions["targets"])


def _average_precision(positive: np.ndarray, confidence: np.ndarray) -> float:
    from sklearn import metrics

    if not positive.any():
        return float("nan")
    return metrics.average_precision_score(positive, confidence)


def _sigmoid_loss(predictions: Predictions) -> float:
    """Returns the mean binary cross-entropy over examples and labels, nats."""
    logits = predictions["logits"].astype(np.float64)
    if not np.isfinite(logits).all():
        return float("nan")
    return float(np.mean(np.logaddexp(0.0, logits) - predictions["targets"] * logits))
