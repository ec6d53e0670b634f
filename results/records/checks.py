"""The ranges of a record's values: what has the right type and makes no sense is refused, by the name of its field.

Two declared tables, a line a field. The types are in `results.records.schema`, and checked by `results.records.codec`.
"""

import datetime
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isobudget.wording import shown
from results import RecordError
from results.records import tasks

_LARGEST_WHOLE = 2**63 - 1
# Of measured numbers, beyond any machine's and any model's, so that sums and squares of them have a float.
_LARGEST, _SMALLEST = 1e100, 1e-100
_DEEPEST = 50  # levels of lists and mappings inside one another
_ROUNDING = 1e-6  # of a float32 mean of ones


@dataclass(frozen=True)
class _Range:
    """What a value must, in words, and a function that says whether it is."""

    words: str
    holds: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= _LARGEST_WHOLE


_FROM_0 = _Range("be a whole number from 0 to 2^63 - 1", lambda value: _whole(value, 0))
_FROM_1 = _Range("be a whole number from 1 to 2^63 - 1", lambda value: _whole(value, 1))
_SEED = _Range("be a whole number of 64 bits", lambda value: _whole(value, -(2**63)))
_AMOUNT = _Range(
    "be a number from 0 to 1e100", lambda value: _number(value) and 0 <= value <= _LARGEST
)
_ABOVE_0 = _Range(
    "be a number above 0, to 1e100", lambda value: _number(value) and _SMALLEST <= value <= _LARGEST
)
_FRACTION = _Range("be a fraction from 0 to 1", lambda value: _number(value) and 0 <= value <= 1)
_MEASURED_FRACTION = _Range(_FRACTION.words, lambda value: -_ROUNDING <= value <= 1 + _ROUNDING)
_BITS = _Range("be a whole number from 1 to 32", lambda value: _whole(value, 1) and value <= 32)
_STRING = _Range("be a string", lambda value: isinstance(value, str))
_MAPPING = _Range("be a mapping", lambda value: isinstance(value, Mapping))
_TIME = _Range("be an ISO 8601 time in UTC", lambda value: _is_utc(value))
_FOLDER = _Range(
    "name a folder",
    lambda value: value not in ("", ".", "..") and not any(each in value for each in "/\0"),
)

_RUN: dict[str, _Range] = {
    "run_id": _FOLDER,
    "seed": _SEED,
    "started_at": _TIME,
    "finished_at": _TIME,
    "model.image_size": _FROM_1,
    "model.num_classes": _FROM_1,
    "model.parameters": _FROM_0,
    "model.auxiliary_parameters": _FROM_0,
    "model.macs": _FROM_0,
    "model.activations": _FROM_0,
    "model.weight_bytes": _FROM_0,
    "dataset.train_examples": _FROM_0,
    "dataset.validation_examples": _FROM_0,
    "dataset.test_examples": _FROM_0,
    "budget.amount": _ABOVE_0,
    "budget.batch_size": _FROM_1,
    "budget.steps": _FROM_0,
    "budget.examples_spent": _FROM_0,
    "budget.train_flops_spent": _AMOUNT,
    "budget.train_seconds_spent": _AMOUNT,
    "timings.train_seconds": _AMOUNT,
    "timings.compile_seconds": _AMOUNT,
    "timings.evaluation_seconds": _AMOUNT,
    "timings.input_wait_seconds": _AMOUNT,
    "timings.total_seconds": _AMOUNT,
    "throughput.train_images_per_second": _AMOUNT,
    "throughput.infer_images_per_second": _AMOUNT,
    "throughput.infer_latency_p50_ms": _AMOUNT,
    "throughput.infer_latency_p99_ms": _AMOUNT,
    "accumulation": _FROM_1,
    "peak_memory_bytes": _FROM_0,
    "concurrent_runs": _FROM_1,
}

# What is read of mappings that may hold anything.
_INSIDE: dict[str, _Range] = {
    "config.tuning_trials": _FROM_0,
    "config.init_from": _STRING,
    "config.transfer": _MAPPING,
    "config.transfer.frozen_stages": _STRING,
    "config.transfer.backbone_learning_rate": _AMOUNT,
    "hardware.platform": _STRING,
    "hardware.device_kind": _STRING,
    "hardware.device_count": _FROM_1,
    "hardware.process_count": _FROM_1,
    "hardware.cpu": _STRING,
    "hardware.cpu_cores": _FROM_1,
    "hardware.memory_bytes": _AMOUNT,
    "hardware.peak_flops_per_second": _ABOVE_0,
}

_EVALUATION: dict[str, _Range] = {
    "finished_at": _TIME,
    "examples": _FROM_0,
    "left_out": _FROM_0,
    "num_classes": _FROM_1,
    "image_size": _FROM_1,
    "crop_fraction": _ABOVE_0,
}

_COMPRESSION: dict[str, _Range] = {
    "compression.weight_bits": _BITS,
    "compression.sparsity": _FRACTION,
    "compression.index_bits": _FROM_0,
    "compression.bytes": _FROM_0,
    "compression.dense_bytes": _FROM_0,
    "compression.fixed_bytes": _FROM_0,
    "compression.retrained_examples": _FROM_0,
}


def check_run(record: Any) -> None:
    """Refuses a `RunRecord` whose values have the right types and make no sense.

    Raises:
      RecordError: naming the first such field.
    """
    _check(record, _RUN)
    for name in ("config", "hardware"):
        _check_depth(name, getattr(record, name))
    _check_depth("model.options", record.model.options)
    for path, wanted in _INSIDE.items():
        part, *keys = path.split(".")
        _check_value(path, _inside(getattr(record, part), keys), wanted)
    for split in ("validation", "test"):
        _check_metrics(f"metrics.{split}", getattr(record.metrics, split))
    if record.failure is not None:
        _check_value("failure.step", record.failure.step, _FROM_0)
    for split, count in (record.unreadable_examples or {}).items():
        _check_value(f"unreadable_examples.{split}", count, _FROM_0)


def check_evaluation(record: Any) -> None:
    """Refuses an `EvaluationRecord` likewise.

    Raises:
      RecordError: naming the first such field.
    """
    _check(record, _EVALUATION)
    _check_metrics("metrics", record.metrics)
    if record.compression is not None:
        _check(record, _COMPRESSION)


def _check(record: Any, ranges: Mapping[str, _Range]) -> None:
    for path, wanted in ranges.items():
        _check_value(path, operator.attrgetter(path)(record), wanted)


def _check_value(path: str, value: Any, wanted: _Range) -> None:
    if value is not None and not wanted.holds(value):
        raise RecordError(f"the field '{path}' must {wanted.words}, not {shown(value)}.")


def _check_metrics(path: str, metrics: Mapping[str, float]) -> None:
    """Refuses fractions beyond 0 and 1 and absurd numbers; NaN is what a diverged run measures."""
    for name, value in metrics.items():
        at = f"{path}.{name}"
        if math.isnan(value):
            continue
        if name in tasks.FRACTIONS:
            _check_value(at, value, _MEASURED_FRACTION)
        elif not math.isinf(value) and abs(value) > _LARGEST:
            raise RecordError(f"the field '{at}' must be at most 1e100, not {shown(value)}.")


def _inside(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _check_depth(path: str, value: Any) -> None:
    """Refuses what is nested so deeply that reading it again would exhaust the stack."""
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, Mapping):
                inner += each.values()
            elif isinstance(each, list | tuple):
                inner += each
        if not inner:
            return
        level = inner
    raise RecordError(f"the field '{path}' is nested more than {_DEEPEST} levels deep.")


def _is_utc(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).utcoffset() == datetime.timedelta(0)
    except (ValueError, OverflowError):
        return False
