"""The threshold of each label's confidence, at and above which the label is decided on."""

import numpy as np


def choose(confidence: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Returns for each label the threshold of the highest F1, float64 [labels]; 0.5 for a label without a positive.

    It lies halfway between the lowest confidence that it lets through and the next lower one, or 0. Of several with
    that F1 it is the one nearest to a half.

    Args:
      confidence: [examples, labels], from 0 to 1.
      positive: the same, bool.
    """
    return np.array([_best(*label) for label in zip(confidence.T, positive.T, strict=True)])


def _best(confidence: np.ndarray, positive: np.ndarray) -> float:
    from sklearn import metrics

    if not positive.any():
        return 0.5
    precision, recall, scores = metrics.precision_recall_curve(positive, confidence)
    precision, recall = precision[:-1], recall[:-1]  # the last is without a score
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    lower = np.concatenate([[0.0], scores[:-1]])
    halfway = (lower + scores) / 2
    cuts = np.where(halfway > lower, halfway, scores)[np.isclose(f1, f1.max(), rtol=1e-12, atol=0)]
    return float(cuts[np.argmin(np.abs(cuts - 0.5))])
