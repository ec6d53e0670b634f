"""Confidences, and how far they can be trusted."""

import numpy as np

BINS = 15


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + exp(-logits)), in their precision."""
    # A third of a second to import, which single-label runs do without.
    from scipy.special import expit

    return expit(logits)


def of_logits(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns float64 [examples, labels], the sigmoid of `logits`.

    One that is not finite is on the wrong side whatever the threshold, so that a model of NaNs is never right.

    Args:
      logits: [examples, labels].
      targets: the same, 0 and 1.
    """
    return np.where(np.isfinite(logits), sigmoid(logits.astype(np.float64)), 1.0 - targets)


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Returns the mean distance between confidence and accuracy over 15 bins of equal width, by their examples.

    Guo et al. 2017, arXiv:1706.04599, equation 3. NaN where a confidence is, or without examples.

    Args:
      confidence: [examples], from 0 to 1.
      correct: [examples], whether the decision was right.
    """
    if not len(confidence) or not np.isfinite(confidence).all():
        return float("nan")
    bins = reliability(confidence, correct)
    gaps = np.abs(bins["correct"] - bins["confidence"])
    return float(np.sum(gaps) / len(confidence))


def reliability(confidence: np.ndarray, correct: np.ndarray) -> dict[str, np.ndarray]:
    """Returns, for each of 15 bins (k/15, (k+1)/15] of confidence, its examples, and sums of confidence and correct.

    A confidence that is none counts as the nearest that is: NaN as 0.
    """
    shares = np.clip(np.nan_to_num(confidence.astype(np.float64)), 0, 1)
    index = np.clip(np.ceil(shares * BINS).astype(int) - 1, 0, BINS - 1)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, values, minlength=BINS)

    return {
        "examples": np.bincount(index, minlength=BINS),
        "confidence": total(shares),
        "correct": total(correct.astype(np.float64)),
    }
