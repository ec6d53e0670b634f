"""The metrics of a split, from what was predicted for each of its examples (`results.rankings.metrics`)."""

from collections.abc import Callable, Mapping

from results.rankings.metrics import (
    Predictions,
    binary,
    confidences,
    multi_label,
    single_label,
)

__all__ = ["Metric", "Predictions", "binary", "confidences", "multi_label", "named", "single_label"]

# A metric that a plug-in adds.
Metric = Callable[[Predictions], float]


def named(split: str, values: Mapping[str, float]) -> dict[str, float]:
    """Returns the metrics of a split under the names that logs have: `validation/top1`."""
    return {f"{split}/{name}": value for name, value in values.items()}
