"""Metrics of a split from what was predicted for each of its examples."""

from collections.abc import Callable, Mapping

import numpy as np

# Arrays by name, one value (or row) an example, in the order of the split; see `steps.make_eval_step`.
Predictions = Mapping[str, np.ndarray]

_BINS = 15


def single_label(predictions: Predictions) -> dict[str, float]:
    """Returns top1, top5 and ece (fractions), loss (nats) and examples of `rank`, `loss` and `confidence`."""
    rank = predictions["rank"]
    return {
        "top1": float(np.mean(rank < 1)),
        "top5": float(np.mean(rank < 5)),
        "loss": float(np.mean(predictions["loss"], dtype=np.float64)),
        "ece": expected_calibration_error(predictions["confidence"], rank < 1),
        "examples": len(rank),
    }


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Returns the mean distance between confidence and accuracy over 15 bins of equal width, by their examples.

    Guo et al. 2017, arXiv:1706.04599, equation 3. NaN where a confidence is.

    Args:
      confidence: [examples], from 0 to 1.
      correct: [examples], whether the decision was right.
    """
    bins = reliability(confidence, correct)
    gaps = np.abs(bins["correct"] - bins["confidence"])
    return float(np.sum(gaps) / len(confidence)) if np.isfinite(confidence).all() else float("nan")


def reliability(confidence: np.ndarray, correct: np.ndarray) -> dict[str, np.ndarray]:
    """Returns, for each of 15 bins (k/15, (k+1)/15] of confidence, its examples, and sums of confidence and correct."""
    finite = np.nan_to_num(confidence.astype(np.float64))
    index = np.clip(np.ceil(finite * _BINS).astype(int) - 1, 0, _BINS - 1)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, values, minlength=_BINS)

    return {
        "examples": np.bincount(index, minlength=_BINS),
        "confidence": total(finite),
        "correct": total(correct.astype(np.float64)),
    }


def named(split: str, values: Mapping[str, float]) -> dict[str, float]:
    """Returns the metrics of a split under the names that logs have: `validation/top1`."""
    return {f"{split}/{name}": value for name, value in values.items()}


# What each task is measured by.
OF_TASK: dict[str, Callable[[Predictions], dict[str, float]]] = {"single_label": single_label}
