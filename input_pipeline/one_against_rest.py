"""A dataset of many classes as a dataset of two: one class against the rest."""

from typing import Any

import numpy as np

from input_pipeline import splits


class Source:
    """The examples of another source, with label 1 for the class `positive` and 0 for all others."""

    def __init__(self, source: splits.Source, positive: int):
        self._source = source
        self._positive = positive

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self._source[index]
        label = example["label"]
        has_it = label[self._positive] if np.ndim(label) else label == self._positive
        return example | {"label": int(has_it)}

    def describe(self, index: int) -> str:
        return self._source.describe(index)
