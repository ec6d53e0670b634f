"""The crops and changes that a configuration may name, and what their names and options must be."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from input_pipeline.errors import DataError
from isobudget.wording import quoted

# By name; see `register_crop` and `register_change`.
CROPS: dict[str, Callable[..., Any]] = {}
CHANGES: dict[str, Callable[..., Any]] = {}

# What else `config.augmentation` holds, beside the options of each crop and change under its name.
RESERVED_NAMES = ("crop", "changes", "repeats", "random_erasing", "mixup", "cutmix")

_CROP_PARAMETERS = ("rows", "columns", "image_size", "rng")
_CHANGE_PARAMETERS = ("picture", "rng")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def register_crop(name: str) -> Callable[[_Function], _Function]:
    """Returns a decorator that registers a crop, (rows, columns, image_size, rng, *, options) -> Box, under `name`.

    Raises:
      DataError: the name is taken or unfit, or an option has no default that a configuration can hold.
    """

    def decorate(function: _Function) -> _Function:
        _check_name("crop", name, function)
        _check_parameters("crop", name, function, _CROP_PARAMETERS)
        CROPS[name] = function
        return function

    return decorate


def register_change(name: str) -> Callable[[_Function], _Function]:
    """Returns a decorator that registers a change, (picture, rng, *, options) -> picture, under `name`.

    Raises:
      DataError: as `register_crop`.
    """

    def decorate(function: _Function) -> _Function:
        _check_name("change", name, function)
        _check_parameters("change", name, function, _CHANGE_PARAMETERS)
        CHANGES[name] = function
        return function

    return decorate


def options(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the options of a crop or change with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def _check_name(kind: str, name: str, function: Callable[..., Any]) -> None:
    if not name.isidentifier():
        raise DataError(
            f"{quoted(name)} cannot be the name of a {kind}: a name is made of letters, digits and _"
        )
    if name in RESERVED_NAMES:
        raise DataError(
            f"{quoted(name)} cannot be the name of a {kind}: config.augmentation.{name} is a field of its own"
        )
    for other_kind, registry in (("crop", CROPS), ("change", CHANGES)):
        if name in registry:
            raise DataError(
                f"the {kind} {quoted(name)} of {function.__module__} needs another name:"
                f" {registry[name].__module__} has a {other_kind} of that name"
            )


def _check_parameters(
    kind: str, name: str, function: Callable[..., Any], expected: tuple[str, ...]
) -> None:
    parameters = inspect.signature(function).parameters.values()
    given = [each for each in parameters if each.kind is not each.KEYWORD_ONLY]
    if len(given) != len(expected) or any(
        each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in given
    ):
        raise DataError(
            f"the {kind} {quoted(name)} has to take ({', '.join(expected)}), and any options by name after"
            f" a *, not {inspect.signature(function)}"
        )
    for option, default in options(function).items():
        if not _fits_a_configuration(default):
            raise DataError(
                f"the option {quoted(option)} of the {kind} {quoted(name)} needs a default that is a bool, int,"
                " float, str or tuple of these"
            )


def _fits_a_configuration(default: Any) -> bool:
    if isinstance(default, tuple):
        return all(map(_fits_a_configuration, default))
    return isinstance(default, bool | int | float | str)
