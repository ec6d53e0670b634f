"""Every architecture by name: what is known of it, and how to make one.

A model is written `name` or `name:option=value,...`, as in `mobilenet_v1:width=0.5`. `@register(...)` adds one where it
is defined: in the file of its family here, or in a module of your own, which `--plugins` imports.
"""

import difflib
from collections.abc import Callable
from typing import Any, TypeVar

from flax import nnx
from jax.typing import DTypeLike

from models.classifier import Classifier, check_num_classes, too_small
from models.errors import ModelError
from models.initializers import shapes_only
from models.model_info import ModelInfo, Paper, describe

_Build = TypeVar("_Build", bound=Callable[..., Classifier])

_MODELS: dict[str, ModelInfo] = {}


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
                f"there is a model {name!r} already, which {_MODELS[name].build.__module__} registers:"
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
    name, _, listed = spec.strip().partition(":")
    if name not in _MODELS:
        close = difflib.get_close_matches(name, names(), n=3)
        hint = (
            f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(names())}."
        )
        raise ModelError(f"there is no model {name!r}: {hint}")
    known = _MODELS[name].options
    options = {}
    for item in filter(None, listed.split(",")):
        option, equals, text = item.strip().partition("=")
        if not equals or option not in known:
            offered = ", ".join(f"{key}={value}" for key, value in known.items()) or "none"
            raise ModelError(
                f"model {name!r} has no option {item.strip()!r}: its options are {offered}."
            )
        options[option] = _typed(name, option, text, known[option])
    return name, options


def label(name: str, options: dict[str, Any]) -> str:
    """Returns the spec `name:option=value,...` with the options that differ from their defaults, sorted."""
    defaults = _MODELS[name].options
    changed = sorted((key, value) for key, value in options.items() if value != defaults[key])
    listed = ",".join(f"{key}={_text(value)}" for key, value in changed)
    return f"{name}:{listed}" if listed else name


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
    chosen = listed | options
    for option in options:
        if option not in _MODELS[name].options:
            parse(f"{name}:{option}=")
    check_num_classes(num_classes)
    model = _MODELS[name].build(
        num_classes=num_classes, dtype=dtype, rngs=rngs or nnx.Rngs(params=0), **chosen
    )
    if not isinstance(model, Classifier):
        raise ModelError(
            f"model {name!r} is a {type(model).__name__}, which is not a models.Classifier."
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
    """Raises `ModelError` if images of this side, in pixels, are too small for the model."""
    smallest = info(spec).min_size
    if image_size < smallest:
        raise ModelError(too_small(spec, smallest, image_size, image_size))


def _typed(name: str, option: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError):
        kind = {bool: "true or false", float: "a number", int: "a whole number"}[type(default)]
        raise ModelError(f"option {option!r} of {name!r} is {kind}, not {text!r}.") from None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
