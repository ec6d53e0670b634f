"""The predictions that a finished run or an evaluation of it keeps of each example of a split, read and checked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isobudget.wording import quoted
from results import RecordError
from results.records import layout, tasks
from results.records.schema import RunRecord

SPLITS = ("test", "validation")


@dataclass(frozen=True)
class SingleLabel:
    """One class for each example.

    Attributes:
      split: `test` or `validation`.
      names: of the classes.
      index: place of each example in the split, int [examples].
      label, predicted: classes, int [examples].
      confidence: in what is predicted, float [examples].
    """

    split: str
    names: tuple[str, ...]
    index: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class ManyLabels:
    """Each label decided for itself: `binary`, which has one, and `multi_label`.

    Attributes:
      split: `test` or `validation`.
      names: of the labels, one for each logit.
      absent: what to call the absence of each, such as `not cat`.
      index: place of each example in the split, int [examples].
      logits: float [examples, labels].
      positive: whether an example has a label, bool [examples, labels].
      thresholds: of the sigmoid of the logits, at and above which a label is decided on, float [labels].
    """

    split: str
    names: tuple[str, ...]
    absent: tuple[str, ...]
    index: np.ndarray
    logits: np.ndarray
    positive: np.ndarray
    thresholds: np.ndarray


Predictions = SingleLabel | ManyLabels


def find(folder: Path, split: str | None = None) -> Path | None:
    """Returns a run's file of a split, of the first of `SPLITS` that has one unless given; None without any."""
    for each in SPLITS if split is None else (split,):
        path = layout.predictions_in(folder, each)
        if path.is_file():
            return path
    return None


def read(folder: Path, record: RunRecord, split: str | None = None) -> Predictions:
    """Returns the predictions that lie in a run's folder.

    Raises:
      RecordError: there are none, or they are damaged or of another task, in one sentence.
    """
    path = find(folder, split)
    if path is None:
        splits = SPLITS if split is None else (split,)
        files = (layout.predictions_in(folder, each).relative_to(folder) for each in splits)
        wanted = " or ".join(map(str, files))
        raise RecordError(f"the run has no {wanted}: a run keeps it when it completes.")
    return read_file(path, folder, record, path.stem)


def read_file(path: Path, folder: Path, record: RunRecord, split: str) -> Predictions:
    """Returns the predictions of a split in a file below a run's folder.

    Raises:
      RecordError: they are damaged or of another task, in one sentence.
    """
    name = path.relative_to(folder)
    try:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # of damaged bytes zipfile, zlib and NumPy raise a dozen kinds
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise RecordError(
            f"{name} cannot be read, it is damaged or half-written ({reason})."
        ) from None
    try:
        return of_arrays(arrays, record, class_names(folder), split)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from None


def class_names(folder: Path) -> tuple[str, ...]:
    """Returns the names of the classes of a run's dataset; none where they are not kept or damaged."""
    try:
        return read_class_names(folder)
    except RecordError:
        return ()


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Returns the names of the classes of a run's dataset; none where they are not kept.

    Raises:
      RecordError: the file is damaged, in one sentence.
    """
    path = layout.class_names_in(folder)
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RecordError(f"{path.name} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise RecordError(f"{path.name} is damaged: it is not JSON, or only half of it.") from None
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise RecordError(f"{path.name} is damaged: it is not a list of names.")
    return tuple(names)


def of_arrays(
    arrays: Mapping[str, np.ndarray], record: RunRecord, names: Sequence[str], split: str
) -> Predictions:
    """Returns the predictions that evaluation made of a split, checked to be of the record's task.

    Args:
      arrays: by name, as the task of the run predicts them.
      record: the run's: its task, and its thresholds where there are any.
      names: of the dataset's classes; numbers take the place of names that do not fit.
      split: `test` or `validation`.

    Raises:
      RecordError: arrays are missing, or do not fit together.
    """
    # An unknown task counts as single_label, as in rankings.
    if tasks.find(record.dataset.task).name == "single_label":
        return _single_label(arrays, record, names, split)
    return _many_labels(arrays, record, names, split)


def _single_label(
    arrays: Mapping[str, np.ndarray], record: RunRecord, names: Sequence[str], split: str
) -> SingleLabel:
    label, predicted, confidence = _get(arrays, 1, "label", "predicted", "confidence")
    for each in (label, predicted):
        if not np.issubdtype(each.dtype, np.integer):
            raise RecordError("classes are whole numbers.")
    number = record.model.num_classes
    for each in (label, predicted):
        if len(each) and (each.min() < 0 or each.max() >= number):
            raise RecordError(f"it has classes beyond the {number} of the record.")
    called = tuple(names) if len(names) == number else tuple(f"class {i}" for i in range(number))
    return SingleLabel(split, called, _index(arrays, len(label)), label, predicted, confidence)


def _many_labels(
    arrays: Mapping[str, np.ndarray], record: RunRecord, names: Sequence[str], split: str
) -> ManyLabels:
    logits, targets = _get(arrays, 2, "logits", "targets")
    number = logits.shape[1]
    thresholds = dict(record.decision.thresholds) if record.decision else {}
    if len(thresholds) != number:
        thresholds = {f"label {i}": 0.5 for i in range(number)}
    called, absent = tuple(thresholds), tuple(f"not {name}" for name in thresholds)
    if record.dataset.task == "binary" and len(names) == 2 and number == 1:
        absent, called = (names[0],), (names[1],)
    elif len(names) == number:
        called, absent = tuple(names), tuple(f"not {name}" for name in names)
    above = np.array([*thresholds.values()], np.float64)
    return ManyLabels(
        split, called, absent, _index(arrays, len(logits)), logits, targets > 0.5, above
    )


def _get(arrays: Mapping[str, np.ndarray], ndim: int, *wanted: str) -> list[np.ndarray]:
    """Returns the arrays, all of one shape."""
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise RecordError(
            f"it has no {quoted(missing[0])}, which predictions of the record's task have."
        )
    chosen = [arrays[name] for name in wanted]
    if any(each.ndim != ndim or each.shape != chosen[0].shape for each in chosen):
        raise RecordError(f"{' and '.join(wanted)} do not have the same shape.")
    if not all(each.dtype.kind in "iuf" for each in chosen):
        raise RecordError(f"{' and '.join(wanted)} are not all numbers.")
    return chosen


def _index(arrays: Mapping[str, np.ndarray], examples: int) -> np.ndarray:
    index = arrays.get("index", np.arange(examples))
    if index.shape != (examples,) or not np.issubdtype(index.dtype, np.integer):
        raise RecordError("'index' is not the place of each example.")
    return index
