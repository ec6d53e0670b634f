"""Level b: the metrics of a run, measured again from what it predicted for each example."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from isobudget.wording import quoted
from results.audit.verdicts import (
    CONSISTENT,
    CONTRADICTED,
    NOT_CHECKED,
    Claim,
    agree,
    same,
    text,
)
from results.bundles.runs import SubmittedRun
from results.rankings import metrics, thresholds
from results.records import tasks
from results.records.schema import RunRecord

_LEVEL = "b"
# Of a float32 log-softmax and the exponential of it; logits in bfloat16 or float16 are cast before.
_OFF = 1e-4

Arrays = Mapping[str, np.ndarray]


def claims(run: SubmittedRun) -> Iterator[Claim]:
    """Yields a claim for each metric of each split, and on the predictions that they are made of."""
    record = run.record
    if record.status != "completed":
        reason = f"the run has the status {record.status}, and no metrics are ranked."
        yield Claim(_LEVEL, "metrics", CONSISTENT, reason)
        return
    for split in ("validation", "test"):
        recorded = getattr(record.metrics, split)
        arrays = run.predictions.get(split)
        if arrays is not None:
            yield from _of_split(record, split, recorded, arrays)
        elif recorded and split == "test":
            reason = "there are no predictions to measure it again from."
            for name in recorded:
                yield Claim(_LEVEL, f"metrics.test.{name}", NOT_CHECKED, reason)
        yield from _as_logged(run, split, recorded)
    if run.predictions.get("validation") is not None:
        yield from _thresholds(record, run.predictions["validation"])
    for evaluated in run.evaluations:
        yield from _evaluation(run, evaluated.record, evaluated.predictions)


def _of_split(
    record: RunRecord, split: str, recorded: Mapping[str, float], arrays: Arrays
) -> Iterator[Claim]:
    problem = _problem(record, arrays)
    name = f"predictions.{split}"
    if problem:
        yield Claim(_LEVEL, name, CONTRADICTED, problem)
        return
    yield _examples(record, split, arrays)
    try:
        measured = _measured(record, arrays)
    except (ValueError, ArithmeticError, IndexError) as error:
        reason = f"no metrics can be measured from them ({type(error).__name__})."
        yield Claim(_LEVEL, name, CONTRADICTED, reason)
        return
    yield Claim(_LEVEL, name, CONSISTENT, "what is said of each example agrees with itself.")
    yield from _agreeing(f"metrics.{split}", recorded, measured)


def _agreeing(
    prefix: str, recorded: Mapping[str, float], measured: Mapping[str, float]
) -> Iterator[Claim]:
    for metric in sorted(measured.keys() | recorded.keys()):
        name = f"{prefix}.{metric}"
        if metric not in measured:
            reason = "no metric of the task has this name: a plug-in measured it."
            yield Claim(_LEVEL, name, NOT_CHECKED, reason)
        elif metric not in recorded:
            if metric in tasks.FRACTIONS:  # records before version 3 have no calibration
                yield Claim(_LEVEL, name, NOT_CHECKED, "the record does not have it.")
        else:
            # Tens of thousands of float32 are summed in an order of each NumPy's own.
            yield agree(
                _LEVEL, name, recorded[metric], measured[metric], "the predictions", relative=1e-5
            )


# Of numbers that no run leaves, NumPy warns; the claims say what is wrong with them.
@np.errstate(all="ignore")
def _problem(record: RunRecord, arrays: Arrays) -> str:
    """Returns how predictions fail to be of the record's task, or contradict themselves; empty if they do not."""
    single = tasks.find(record.dataset.task).name == "single_label"
    wanted = (
        ("label", "predicted", "confidence", "loss", "rank") if single else ("logits", "targets")
    )
    for name in wanted:
        if name not in arrays:
            return f"they have no {quoted(name)}, which those of {record.dataset.task} have."
    if "index" not in arrays:
        return "they do not say which examples they are of."
    if not len(arrays["index"]):
        return "they are of no example."
    if single:
        return _problem_of_classes(record, arrays)
    logits, targets = arrays["logits"], arrays["targets"]
    outputs = (len(arrays["index"]), record.model.num_classes)
    if logits.shape != outputs or targets.shape != outputs:
        return f"they are not of {record.model.num_classes} labels."
    if not np.isin(targets, (0, 1)).all():
        return "their targets are not all 0 or 1."
    return ""


def _problem_of_classes(record: RunRecord, arrays: Arrays) -> str:
    label, predicted, rank = arrays["label"], arrays["predicted"], arrays["rank"]
    classes = record.model.num_classes
    if any(arrays[name].ndim != 1 for name in ("label", "predicted", "rank", "confidence", "loss")):
        return "they are not one value for each example."
    for name, values, most in (
        ("label", label, classes),
        ("predicted", predicted, classes),
        ("rank", rank, classes + 1),
    ):
        if values.dtype.kind not in "iu" or (
            len(values) and not 0 <= values.min() <= values.max() < most
        ):
            return f"{quoted(name)} is not always one of {classes} classes."
    loss, confidence = (arrays[name].astype(np.float64) for name in ("loss", "confidence"))
    finite = np.isfinite(loss) & np.isfinite(confidence)
    right = (rank == 0) & finite
    wrong = (rank > 0) & finite
    probability = np.exp(-loss)  # of the label
    index = arrays["index"]
    for bad, what in (
        (finite & ((rank == 0) != (label == predicted)), "is right by its rank or its class alone"),
        (
            right & (np.abs(probability - confidence) > _OFF),
            "has a loss that is not of its confidence",
        ),
        (
            wrong & (probability > np.minimum(confidence, 1 - confidence) + _OFF),
            "has a loss that is too low for its rank",
        ),
        (
            wrong & (probability * (rank + 1.0) > 1 + _OFF * (rank + 1.0)),
            "has a rank that is too low for its loss",
        ),
        (
            finite & ((confidence < 1 / classes - _OFF) | (confidence > 1 + _OFF)),
            "has a confidence that no class of the highest one has",
        ),
        (loss < -_OFF, "has a loss below 0"),
    ):
        if bad.any():
            return f"example {int(index[np.argmax(bad)])} {what}."
    return ""


def _examples(record: RunRecord, split: str, arrays: Arrays) -> Claim:
    """Returns the claim that each example of a split is there once."""
    name = f"examples.{split}"
    index = arrays["index"]
    size = getattr(record.dataset, f"{split}_examples")
    left_out = (record.unreadable_examples or {}).get(split, 0)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        return Claim(_LEVEL, name, CONTRADICTED, "their places in the split are not whole numbers.")
    repeated = len(index) - len(np.unique(index))
    if repeated:
        reason = f"{repeated:,} of the examples of the split are there more than once."
        return Claim(_LEVEL, name, CONTRADICTED, reason)
    if size is None:
        return Claim(_LEVEL, name, NOT_CHECKED, "the record does not say how many there are.")
    if len(index) and not 0 <= index.min() <= index.max() < size:
        return Claim(_LEVEL, name, CONTRADICTED, f"some are beyond the {size:,} of the split.")
    if len(index) != size - left_out:
        reason = (
            f"there are predictions for {len(index):,} of the {size:,} examples of the split,"
            f" and {left_out:,} could not be read."
        )
        return Claim(_LEVEL, name, CONTRADICTED, reason)
    return Claim(_LEVEL, name, CONSISTENT, f"each of the {len(index):,} examples is there once.")


@np.errstate(all="ignore")
def _measured(record: RunRecord, arrays: Arrays) -> dict[str, float]:
    task = tasks.find(record.dataset.task).name
    if task == "single_label":
        return metrics.single_label(arrays)
    decided = _decided_at(record)
    return (metrics.binary if task == "binary" else metrics.multi_label)(arrays, decided)


def _decided_at(record: RunRecord) -> np.ndarray:
    """Returns the thresholds of a record [labels]; a half where it has none."""
    if record.decision and len(record.decision.thresholds) == record.model.num_classes:
        return np.array([*record.decision.thresholds.values()], np.float64)
    return np.full(record.model.num_classes, 0.5)


def _thresholds(record: RunRecord, validation: Arrays) -> Iterator[Claim]:
    if tasks.find(record.dataset.task).name == "single_label" or _problem(record, validation):
        return
    chosen = thresholds.choose(metrics.confidences(validation), validation["targets"] > 0.5)
    recorded = _decided_at(record)
    good = np.allclose(chosen, recorded, rtol=1e-6, atol=1e-12)
    yield Claim(
        _LEVEL,
        "decision.thresholds",
        CONSISTENT if good else CONTRADICTED,
        "they are those of the highest F1 on the validation split's predictions."
        if good
        else "they are not those of the highest F1 on the validation split's predictions.",
    )


def _as_logged(run: SubmittedRun, split: str, recorded: Mapping[str, float]) -> Iterator[Claim]:
    """Yields whether the metrics of a split are those at the end of the log."""
    last = logged_metrics(run.log, split)
    if not recorded or not last:
        return
    name = f"log.{split}"
    for metric, value in recorded.items():
        if metric in last and not same(value, last[metric], 1e-9):
            reason = (
                f"the record says a {metric} of {text(value)}, and the log {text(last[metric])}."
            )
            yield Claim(_LEVEL, name, CONTRADICTED, reason)
            return
    yield Claim(
        _LEVEL, name, CONSISTENT, f"the log ends with the same metrics of the {split} split."
    )


def logged_metrics(log: list[dict[str, Any]], split: str) -> dict[str, float]:
    """Returns the last metrics of a split that a log has; none where it has none."""
    prefix = f"{split}/"
    for line in reversed(log):
        values = {
            key.removeprefix(prefix): number(value)
            for key, value in line.items()
            if key.startswith(prefix)
        }
        if values:
            return values
    return {}


def number(value: Any) -> float:
    """Returns a value of a log, where what is not finite is text; NaN for what is no number."""
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 else math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _evaluation(run: SubmittedRun, evaluation: Any, arrays: Arrays | None) -> Iterator[Claim]:
    """Yields what an evaluation on other data claims."""
    name = f"evaluations.{evaluation.name}"
    if evaluation.weights_digest != run.record.weights_digest or evaluation.run_id not in (
        run.run_id,
        run.record.run_id,
    ):
        yield Claim(_LEVEL, name, CONTRADICTED, "it is of other weights than the run's.")
        return
    if arrays is None or tasks.find(run.record.dataset.task).name != "single_label":
        yield Claim(
            _LEVEL, name, NOT_CHECKED, "there are no predictions of one class each beside it."
        )
        return
    if not {"rank", "loss", "confidence"} <= arrays.keys() or "counted" in arrays:
        yield Claim(
            _LEVEL, name, NOT_CHECKED, "its predictions are of several labels, or of a subset."
        )
        return
    try:
        if not len(arrays["rank"]):
            raise ValueError("they are of no example.")
        with np.errstate(all="ignore"):
            measured = metrics.single_label(arrays)
    except (ValueError, IndexError, TypeError):
        yield Claim(_LEVEL, name, CONTRADICTED, "its predictions are no predictions.")
        return
    worst = [
        metric
        for metric, value in evaluation.metrics.items()
        if metric in measured and not same(value, measured[metric], 1e-5)
    ]
    if worst:
        claimed, given = evaluation.metrics[worst[0]], measured[worst[0]]
        reason = f"it says a {worst[0]} of {text(claimed)}, and its predictions give {text(given)}."
        yield Claim(_LEVEL, name, CONTRADICTED, reason)
        return
    yield Claim(_LEVEL, name, CONSISTENT, "its metrics are those of its predictions.")
