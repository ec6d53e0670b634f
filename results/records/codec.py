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
from typing import Any, Literal, TypeVar, cast

import numpy as np

from isobudget.wording import quoted, shown
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


def decode(kind: type[T], value: Any, *, finite: bool = False) -> T:
    """Returns `value` (what `json.loads` gave) as a `kind`: a dataclass, a type or a type hint.

    A field with a default may be absent; a field the dataclass does not know is refused, so that a
    misspelled name cannot pass for a missing one. `finite` promises that no string stands for a
    number, and saves looking for them where any value may stand.

    Raises:
      RecordError: naming the first field that is missing, unknown or of the wrong type.
    """
    try:
        return _decoder(cast(Any, kind), finite)(value)
    except _MisfitError as misfit:
        raise RecordError(misfit.sentence()) from None


def says_non_finite(text: str) -> bool:
    """Whether a string in JSON text may stand for a number."""
    return any(f'"{name}"' in text for name in _NON_FINITE)


class _MisfitError(Exception):
    """A value that does not fit, and the path to it, which is put together only for one that does not."""

    def __init__(self, template: str, name: str = ""):
        super().__init__(template)
        self._template = template
        self._path = [name] if name else []

    def inside(self, name: str) -> "_MisfitError":
        self._path.insert(0, name)
        return self

    def sentence(self) -> str:
        return self._template.format(".".join(self._path) or "the record")


@functools.cache
def _decoder(kind: Any, finite: bool) -> Callable[[Any], Any]:
    """Returns the function from a value to a `kind`: thousands of records ask for the same few types."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_decoder(kind, finite)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:  # only `X | None` is used
        inner = _decoder(arguments[0], finite)
        return lambda value: None if value is None else inner(value)
    if origin is Literal:
        return functools.partial(_decode_literal, arguments)
    if origin is tuple:  # only `tuple[X, ...]` is used
        return functools.partial(_decode_list, _decoder(arguments[0], finite))
    if origin is Mapping:
        return functools.partial(_decode_mapping, _decoder(arguments[1], finite))
    if kind is Any:
        return (lambda value: value) if finite else _decode_any
    return _decode_float if kind is float else functools.partial(_decode_scalar, kind)


def _dataclass_decoder(kind: Any, finite: bool) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    decoders = {field.name: _decoder(hints[field.name], finite) for field in fields}
    required = {
        field.name
        for field in fields
        if field.default is field.default_factory is dataclasses.MISSING
    }

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _ill_typed("a mapping", value)
        for name in value:
            if name not in decoders:
                raise _MisfitError("'{}' is not a field of a record.", name)
        decoded = {}
        for name, decoder in decoders.items():
            if name in value:
                try:
                    decoded[name] = decoder(value[name])
                except _MisfitError as misfit:
                    raise misfit.inside(name) from None
            elif name in required:
                raise _MisfitError("the field '{}' is missing.", name)
        return kind(**decoded)

    return decode


def _decode_literal(choices: tuple[Any, ...], value: Any) -> Any:
    if value not in choices:
        raise _ill_typed(f"one of {', '.join(choices)}", value)
    return value


def _decode_mapping(decoder: Callable[[Any], Any], value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _ill_typed("a mapping", value)
    decoded = {}
    for key, item in value.items():
        try:
            decoded[key] = decoder(item)
        except _MisfitError as misfit:
            raise misfit.inside(key) from None
    return decoded


def _decode_list(decoder: Callable[[Any], Any], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _ill_typed("a list", value)
    decoded = []
    for i, item in enumerate(value):
        try:
            decoded.append(decoder(item))
        except _MisfitError as misfit:
            raise misfit.inside(str(i)) from None
    return tuple(decoded)


def _decode_float(value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer of more than 308 digits
            return float(value)
    raise _ill_typed(_JSON_NAMES[float], value)


def _decode_scalar(kind: type, value: Any) -> Any:
    if type(value) is kind:  # not isinstance: true is no integer
        return value
    raise _ill_typed(_JSON_NAMES[kind], value)


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
        raise RecordError(f"'{where}' has the key {quoted(key)}, and a JSON key is a string.")
    return key


def _ill_typed(wanted: str, value: Any) -> _MisfitError:
    given = shown(value).replace("{", "{{").replace("}", "}}")
    return _MisfitError(f"the field '{{}}' must be {wanted}, not {given}.")
