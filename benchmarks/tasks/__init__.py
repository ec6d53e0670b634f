"""The tasks of a model: one label per picture, one class against the rest, or any number of labels."""

from benchmarks.tasks.data import BALANCED, load_dataset, positive_weights, validate
from benchmarks.tasks.task import (
    BINARY,
    METRICS,
    MULTI_LABEL,
    SINGLE_LABEL,
    TASKS,
    SingleLabel,
    Task,
    rank,
    register_metric,
)

__all__ = [
    "BALANCED",
    "BINARY",
    "METRICS",
    "MULTI_LABEL",
    "SINGLE_LABEL",
    "TASKS",
    "SingleLabel",
    "Task",
    "load_dataset",
    "positive_weights",
    "rank",
    "register_metric",
    "validate",
]
