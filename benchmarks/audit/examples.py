"""Level c: whether a run's examples and labels are those of the dataset, where that is here."""

import functools
from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from benchmarks.audit.configuration import NotHereError
from benchmarks.errors import ConfigError
from input_pipeline import datasets
from input_pipeline.errors import DataError
from isobudget.wording import quoted
from results.audit import CONTRADICTED, NOT_CHECKED, VERIFIED, Claim
from results.bundles import SubmittedRun

_LEVEL = "c"


def claims(run: SubmittedRun, config: ConfigDict) -> Iterator[Claim]:
    """Yields what the dataset here says of the run.

    Raises:
      NotHereError: the dataset is not here, or another version of it.
    """
    record = run.record
    dataset = load(config)
    if dataset.version != record.dataset.version:
        raise NotHereError(
            f"the data here are version {dataset.version}, and the record's {quoted(record.dataset.version)}."
        )
    yield _split_sizes(run, config, dataset)
    if run.class_names:
        good = run.class_names == dataset.class_names
        reason = "they are the dataset's." if good else "they are not the dataset's."
        yield Claim(_LEVEL, "class_names", VERIFIED if good else CONTRADICTED, reason)
    for split, arrays in run.predictions.items():
        name = f"labels.{split}"
        said = _labels_said(arrays)
        index = arrays.get("index")
        if said is None or index is None or index.ndim != 1 or index.dtype.kind not in "iu":
            yield Claim(_LEVEL, name, NOT_CHECKED, "the predictions have no labels.")
            continue
        yield _labels(run, config, split, index, said)


def load(config: ConfigDict) -> datasets.Dataset:
    """Returns the dataset of a configuration.

    Raises:
      NotHereError: it is not here.
    """
    try:
        return _load(config.dataset, config.data_dir, config.positive_class)
    except (DataError, ConfigError) as error:
        raise NotHereError(f"the data are not here: {error}") from None


@functools.lru_cache(maxsize=8)
def _load(name: str, data_dir: str, positive_class: str) -> datasets.Dataset:
    return datasets.load(name, data_dir or None, positive_class)


@functools.lru_cache(maxsize=16)
def _true_labels(name: str, data_dir: str, positive_class: str, split: str) -> np.ndarray:
    """Returns the labels of a split: int [examples], or float [examples, classes] where there are many."""
    source = _load(name, data_dir, positive_class).source(split)
    return np.stack([np.asarray(source[place]["label"]) for place in range(len(source))])


def _split_sizes(run: SubmittedRun, config: ConfigDict, dataset: datasets.Dataset) -> Claim:
    for part in ("train", "validation", "test"):
        split = config[f"{part}_split"]
        said = getattr(run.record.dataset, f"{part}_examples")
        if not split or said is None:
            continue
        try:
            size = dataset.num_examples(split)
        except DataError:
            reason = f"the dataset has no split {quoted(split)}."
            return Claim(_LEVEL, "dataset.splits", CONTRADICTED, reason)
        if size != said:
            reason = f"the record says {said:,} {part} examples, and the dataset has {size:,}."
            return Claim(_LEVEL, "dataset.splits", CONTRADICTED, reason)
    return Claim(_LEVEL, "dataset.splits", VERIFIED, "they have the sizes of the dataset's.")


def _labels_said(arrays) -> np.ndarray | None:
    if "label" in arrays:
        return arrays["label"]
    targets = arrays.get("targets")
    if targets is None:
        return None
    return targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets


def _labels(
    run: SubmittedRun, config: ConfigDict, part: str, index: np.ndarray, said: np.ndarray
) -> Claim:
    name = f"labels.{part}"
    split = config[f"{part}_split"]
    key = config.dataset, config.data_dir, config.positive_class
    true = _true_labels(*key, split)
    if not len(index):
        return Claim(_LEVEL, name, CONTRADICTED, "there are none.")
    if index.min() < 0 or index.max() >= len(true):
        return Claim(_LEVEL, name, CONTRADICTED, f"some are beyond the {len(true):,} of the split.")
    expected = true[index]
    if expected.shape == said.shape and np.array_equal(expected, said):
        return Claim(_LEVEL, name, VERIFIED, f"all {len(said):,} are as the dataset has them.")
    for other in ("validation", "train", "test"):
        named = config[f"{other}_split"]
        if named and other != part and _are_of(key, named, index, said):
            reason = f"they are those of the {other} split, not of the {part} split."
            return Claim(_LEVEL, name, CONTRADICTED, reason)
    wrong = (
        int(np.sum(np.any(np.atleast_2d((expected != said).T), axis=0)))
        if expected.shape == said.shape
        else len(said)
    )
    reason = f"{wrong:,} of {len(said):,} are not as the dataset has them."
    return Claim(_LEVEL, name, CONTRADICTED, reason)


def _are_of(key: tuple[str, str, str], split: str, index: np.ndarray, said: np.ndarray) -> bool:
    try:
        true = _true_labels(*key, split)
    except DataError:
        return False
    if index.max() >= len(true):
        return False
    chosen = true[index]
    return chosen.shape == said.shape and bool(np.mean(chosen == said) > 0.99)
