"""Which classes a model mistakes for which, from what a run predicted: counts, confusions, reliability, mistakes."""

from results.confusions.count import average_precision, of
from results.confusions.report import to_json
from results.confusions.schema import (
    MOST_CLASSES,
    MOST_MISTAKES,
    Bin,
    Confusions,
    Counts,
    Matrix,
    Mistake,
    Pair,
)

__all__ = [
    "MOST_CLASSES",
    "MOST_MISTAKES",
    "Bin",
    "Confusions",
    "Counts",
    "Matrix",
    "Mistake",
    "Pair",
    "average_precision",
    "of",
    "to_json",
]
