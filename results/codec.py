"""Frozen dataclasses to strict JSON values and back, checked against their type hints.

Strict JSON has no NaN and no infinities, and a diverged run is made of them. They are written as
the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, and those three strings are read back as
numbers wherever a number or any value may stand, and stay strings where the schema says string.
"""

import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np

from results import RecordError

T = TypeVar("T")

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_JSON_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def encode(value: Any, where: str = "") -> Any:
    """Returns `value` as strict JSON values: tuples become lists, NumPy scalars plain numbers.

    Raises:
      RecordError: something in it, named by its path `where`, has no place in JSON.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: encode(getattr(value, f.name), _join(where, f.name)) for f in fields}
    if isinstance(value, Mapping):
        return {_key(key, where): encode(item, _join(where, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return next(name for name, number in _NON_FINITE.items() if repr(number) == repr(value))
    if value is None or isinstance(value, str | int | float):
        return value
    raise RecordError(f"'{where}' holds a {type(value).__name__}, which JSON cannot keep.")


def decode(kind: type[T], value: Any, where: str = "") -> T:
    """Returns `value` (what `json.loads` gave) as a `kind`: a dataclass, a type or a type hint.

    A field with a default may be absent; a field the dataclass does not know is refused, so that a
    misspelt name cannot pass for a missing one.

    Raises:
      RecordError: naming the first field that is missing, unknown or of the wrong type.
    """
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:  # only `X | None` is used
        if value is None:
            return None
        return decode(arguments[0], value, where)
    if origin is Literal:
        if value not in arguments:
            raise _ill_typed(where, f"one of {', '.join(arguments)}", value)
        return value
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _ill_typed(where, "a mapping", value)
        return {k: decode(arguments[1], item, _join(where, k)) for k, item in value.items()}
    if kind is Any:
        return _decode_any(value)
    return _decode_scalar(kind, value, where)


def _decode_dataclass(kind: type[T], value: Any, where: str) -> T:
    if not isinstance(value, dict):
        raise _ill_typed(where or "the record", "a mapping", value)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            raise RecordError(f"'{_join(where, name)}' is not a field of a record.")
    hints = _hints(kind)
    decoded = {}
    for name, field in fields.items():
        if name in value:
            decoded[name] = decode(hints[name], value[name], _join(where, name))
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise RecordError(f"The field '{_join(where, name)}' is missing.")
    return kind(**decoded)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float:
        if isinstance(value, str) and value in _NON_FINITE:
            return _NON_FINITE[value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):  # an integer of more than 308 digits
                return float(value)
    elif type(value) is kind:  # not isinstance: true is no integer
        return value
    raise _ill_typed(where, _JSON_NAMES[kind], value)


def _decode_any(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _decode_any(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode_any(item) for item in value]
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def _join(where: str, name: Any) -> str:
    return f"{where}.{name}" if where else str(name)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise RecordError(f"'{where}' has the key {key!r}, and a JSON key is a string.")
    return key


def _ill_typed(where: str, wanted: str, value: Any) -> RecordError:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return RecordError(f"The field '{where}' must be {wanted}, not {shown}.")
