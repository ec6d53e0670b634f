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
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import numpy as np

from results import RecordError

T = TypeVar("T")
_Decoder = Callable[[Any, str], Any]

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
    return _decoder(kind)(value, where)


@functools.cache
def _decoder(kind: Any) -> _Decoder:
    """Returns the function from (value, where) to a `kind`: thousands of records ask for the same few types."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_decoder(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:  # only `X | None` is used
        inner = _decoder(arguments[0])
        return lambda value, where: None if value is None else inner(value, where)
    if origin is Literal:
        return functools.partial(_decode_literal, arguments)
    if origin is Mapping:
        return functools.partial(_decode_mapping, arguments[1])
    if kind is Any:
        return lambda value, where: _decode_any(value)
    return _decode_float if kind is float else functools.partial(_decode_scalar, kind)


def _dataclass_decoder(kind: type[T]) -> _Decoder:
    hints = typing.get_type_hints(kind)
    decoders = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}
    required = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is field.default_factory is dataclasses.MISSING
    }

    def decode(value: Any, where: str) -> T:
        if not isinstance(value, dict):
            raise _ill_typed(where or "the record", "a mapping", value)
        for name in value:
            if name not in decoders:
                raise RecordError(f"'{_join(where, name)}' is not a field of a record.")
        decoded = {}
        for name, decoder in decoders.items():
            if name in value:
                decoded[name] = decoder(value[name], _join(where, name))
            elif name in required:
                raise RecordError(f"The field '{_join(where, name)}' is missing.")
        return kind(**decoded)

    return decode


def _decode_literal(choices: tuple, value: Any, where: str) -> Any:
    if value not in choices:
        raise _ill_typed(where, f"one of {', '.join(choices)}", value)
    return value


def _decode_mapping(kind: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _ill_typed(where, "a mapping", value)
    decoder = _decoder(kind)
    return {key: decoder(item, _join(where, key)) for key, item in value.items()}


def _decode_float(value: Any, where: str) -> float:
    if type(value) is float:
        return value
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer of more than 308 digits
            return float(value)
    raise _ill_typed(where, _JSON_NAMES[float], value)


def _decode_scalar(kind: type, value: Any, where: str) -> Any:
    if type(value) is kind:  # not isinstance: true is no integer
        return value
    raise _ill_typed(where, _JSON_NAMES[kind], value)


def _decode_any(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return _NON_FINITE.get(value, value)
    if kind is dict:
        return {key: _decode_any(item) for key, item in value.items()}
    return [_decode_any(item) for item in value] if kind is list else value


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
