"""Every architecture by name: what is known of it, and how to make one.

A model is written `name` or `name:option=value,...`, as in `mobilenet_v1:width=0.5`. `@register(...)` adds one where it
is defined: in the file of its family here, or in a module of your own, which `--plugins` imports.
"""

import difflib
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flax import nnx
from jax.typing import DTypeLike

from isobudget.wording import digits, exact, quoted
from models.classifier import Classifier, check_num_classes, too_small
from models.errors import ModelError, enumerate_names, fitting
from models.initializers import shapes_only
from models.model_info import ModelInfo, Paper, describe

_Build = TypeVar("_Build", bound=Callable[..., Classifier])

_MODELS: dict[str, ModelInfo] = {}

_LARGEST_SIDE = 100_000  # pixels; beyond it, numbers of elements fit no integer of a device


def register(
    name: str, *, family: str, paper: Paper, min_size: int, **facts: Any
) -> Callable[[_Build], _Build]:
    """Returns a decorator that registers `build(num_classes, dtype, rngs, **options)` under `name`.

    The parameters of `build` beyond these three are the model's options; each has a default, which gives its type.

    Args:
      name: the name the model is created by.
      family: the architecture it is a variant of, such as "resnet"; training recipes are written for families.
      paper: where it was published.
      min_size: the smallest image side, in pixels, that it accepts.
      **facts: the other fields of `ModelInfo`, such as `input_size`.

    Raises:
      ModelError: a name that is taken, or a name, an option or a fact that no model can have.
    """

    def decorate(build: _Build) -> _Build:
        required = {"family": family, "paper": paper, "min_size": min_size}
        described = describe(name, build, required | facts)
        if name in _MODELS:
            raise ModelError(
                f"there is a model {quoted(name)} already, which {_MODELS[name].build.__module__} registers:"
                f" {build.__module__} must give its own another name."
            )
        _MODELS[name] = described
        return build

    return decorate


def names() -> tuple[str, ...]:
    """Returns the names of all registered models, sorted."""
    return tuple(sorted(_MODELS))


def info(spec: str) -> ModelInfo:
    """Returns what is known of the model that `spec` names.

    Raises:
      ModelError: no model of this name, no such option, or a value of another type.
    """
    return _MODELS[parse(spec)[0]]


def parse(spec: str) -> tuple[str, dict[str, Any]]:
    """Returns (name, options) of `name` or `name:option=value,...`, each value of its default's type.

    Raises:
      ModelError: no model of this name, no such option, or a value of another type.
    """
    if not isinstance(spec, str):
        raise ModelError(f"a model is given by its name, not by {quoted(spec)}.")
    name, _, listed = spec.strip().partition(":")
    if name not in _MODELS:
        raise ModelError(_unknown(name))
    known = _MODELS[name].options
    options: dict[str, Any] = {}
    for item in filter(None, listed.split(",")):
        option, equals, text = item.strip().partition("=")
        if not equals or option not in known:
            raise ModelError(_no_option(name, item.strip()))
        if option in options:
            raise ModelError(f"option {quoted(option)} of {quoted(name)} is given twice.")
        options[option] = _checked(name, option, _read(text, known[option]), known[option])
    _check_finite(name, options)
    return name, options


def label(name: str, options: dict[str, Any]) -> str:
    """Returns the spec `name:option=value,...` with the options that differ from their defaults, sorted."""
    defaults = _MODELS[name].options
    changed = {key: options[key] for key in sorted(options) if options[key] != defaults[key]}
    return f"{name}:{written(changed)}" if changed else name


def written(options: Mapping[str, Any]) -> str:
    """Returns options as a spec has them: `option=value,...`."""
    return ",".join(f"{option}={_text(value)}" for option, value in options.items())


def create(
    spec: str,
    num_classes: int = 1000,
    *,
    rngs: nnx.Rngs | None = None,
    dtype: DTypeLike | None = None,
    **options: Any,
) -> Classifier:
    """Returns a model with freshly initialized parameters; no forward pass is run.

    Args:
      spec: `name` or `name:option=value,...`.
      num_classes: the number of logits.
      rngs: the randomness of initialization, stream `params`; that of seed 0 if not given.
      dtype: the compute dtype, such as `jnp.bfloat16`; parameters, batch statistics and logits stay float32.
      **options: the model's options, over those in `spec`.

    Raises:
      ModelError: an unknown model or option, or a value that the model cannot take.
    """
    name, listed = parse(spec)
    known = _MODELS[name].options
    for option in options:
        if option not in known:
            raise ModelError(_no_option(name, option))
    chosen = listed | {
        option: _checked(name, option, value, known[option]) for option, value in options.items()
    }
    check_num_classes(num_classes)
    model = _MODELS[name].build(
        num_classes=num_classes, dtype=dtype, rngs=rngs or nnx.Rngs(params=0), **chosen
    )
    # Only now, as a model knows best which numbers it takes.
    _check_finite(name, chosen)
    if not isinstance(model, Classifier):
        raise ModelError(
            f"model {quoted(name)} is a {type(model).__name__}, which is not a models.Classifier."
        )
    model.dtype = dtype
    model.num_classes = num_classes
    model.spec = label(name, chosen)
    model.min_size = _MODELS[name].min_size
    return model


def create_abstract(
    spec: str, num_classes: int = 1000, *, dtype: DTypeLike | None = None, **options: Any
) -> Classifier:
    """Returns a model whose variables have shapes but no values: to count with, or to restore weights into."""
    with shapes_only():
        return create(spec, num_classes, dtype=dtype, **options)


def check_image_size(spec: str, image_size: int) -> None:
    """Raises `ModelError` if images of this side, in pixels, are too small for the model, or no images."""
    name, options = parse(spec)
    smallest = _MODELS[name].min_size
    if not isinstance(image_size, numbers.Integral) or isinstance(image_size, bool):
        raise ModelError(
            f"the side of an image is a whole number of pixels, not {quoted(image_size)}."
        )
    side = int(image_size)
    if abs(side) > _LARGEST_SIDE:
        raise ModelError(
            f"the side of an image is at most {_LARGEST_SIDE:,} pixels, not {digits(side)}."
        )
    if side < smallest:
        raise ModelError(too_small(label(name, options), smallest, side, side))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name[:200], names(), n=3)
    if close:
        return f"there is no model {quoted(name)}: did you mean {' or '.join(close)}?"
    return fitting(
        lambda most: (
            f"there is no model {quoted(name)}: known are {enumerate_names(names(), most)}."
        )
    )


def _no_option(name: str, given: str) -> str:
    known = [f"{option}={_text(value)}" for option, value in _MODELS[name].options.items()]
    return fitting(
        lambda most: (
            f"model {quoted(name)} has no option {quoted(given)}: its options are"
            f" {enumerate_names(known, most) or 'none'}."
        )
    )


def _read(text: str, default: Any) -> Any:
    """Returns the value of an option's text, of its default's type; the text itself if it is none."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError):
        return text


def _checked(name: str, option: str, value: Any, default: Any) -> Any:
    """Returns an option's value as the type of its default.

    Raises:
      ModelError: a value of another type, or one that cannot be written in a spec.
    """
    if isinstance(default, bool):
        kind, fits = "true or false", isinstance(value, bool)
    elif isinstance(value, bool):
        kind, fits = ("a text" if isinstance(default, str) else "a number"), False
    elif isinstance(default, int):
        kind, fits = "a whole number", isinstance(value, numbers.Integral)
    elif isinstance(default, float):
        kind, fits = (
            "a number",
            isinstance(value, numbers.Real) and _is_float(value),
        )
    else:
        kind = "a text without commas, or spaces around it"
        fits = isinstance(value, str) and "," not in value and value == value.strip()
    if not fits:
        raise ModelError(
            f"option {quoted(option)} of {quoted(name)} is {kind}, not {quoted(value)}."
        )
    # Of the two zeros of floats only one has a label.
    return float(value) + 0.0 if isinstance(default, float) else type(default)(value)


def _is_float(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:  # a whole number above all floats
        return False
    return True


def _check_finite(name: str, options: dict[str, Any]) -> None:
    for option, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ModelError(
                f"option {quoted(option)} of {quoted(name)} is a number, not {quoted(value)}."
            )


def _text(value: Any) -> str:
    """Returns the shortest text that reads back as the value."""
    if isinstance(value, bool):
        return str(value).lower()
    return exact(value) if isinstance(value, float) else str(value)
