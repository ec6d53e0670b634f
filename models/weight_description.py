"""What weights need beside an architecture: the model's options, preprocessing and classes, in a file beside them.

The description of `DIR/weights.safetensors` is `DIR/weights.json`, that of any other file has its name with `.json` in
place of the last suffix. `python -m models.pretrained` writes one with the weights that it imports, and so does
`benchmarks.export`; whoever is given the weights reads it.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isobudget.wording import quoted, shorten
from models import imagenet_classes
from models.classifier import Classifier
from models.errors import LONGEST, ModelError
from models.registry import check_image_size, create_abstract, info, label, parse

FORMAT, VERSION = "isobudget.weights", 1
CHANNEL_ORDERS = ("rgb", "bgr")
INTERPOLATIONS = ("bilinear", "bicubic")
_TASKS = ("single_label", "binary", "multi_label")
# Options of models that follow from where weights were trained, and that commands have flags for.
CONVENTIONS = ("padding", "epsilon")
_LARGEST = 2**24  # bytes of a description; one that names 20,000 classes has a thirtieth of that
# What stands in files of other programs' that are named like this one's: Keras's architecture, TensorFlow.js's model.
_OTHERS = ("class_name", "modelTopology", "weightsManifest")


@dataclasses.dataclass(frozen=True)
class WeightDescription:
    """What weights need, and what of it nobody stated.

    Attributes:
      model: the registered name.
      options: every option of the model, `padding` and `epsilon` included where it has them.
      mean, std: each channel's mean and standard deviation, for images scaled to 0..1, in the order of `channel_order`.
      channel_order: the order in which the model reads a picture's channels, `rgb` or `bgr`.
      image_size: pixels a side.
      crop_fraction: the side of the central crop over the shorter side of the resized picture.
      interpolation: how pictures are resized.
      classes: a name in `imagenet_classes.LISTS`, or the names themselves, in their order; empty if nobody knows them.
      task: single_label; binary, where the one logit is the second class's; or multi_label.
      positive_class: the class that `binary` tells from the rest of a dataset, if it has more than two.
      thresholds: of each logit's confidence; empty for a half, and for single_label.
      temperature: what logits are divided by before they become confidences; 1 if they are not calibrated.
      assumed: the names, in this list, of what was neither stated by the file of weights nor by its user.
    """

    model: str
    options: Mapping[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str
    image_size: int
    crop_fraction: float
    interpolation: str
    classes: str | tuple[str, ...]
    task: str = "single_label"
    positive_class: str = ""
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0
    assumed: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """The model with the options that are not at their defaults."""
        return label(self.model, dict(self.options))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; empty if nobody knows them."""
        return (
            imagenet_classes.LISTS[self.classes] if isinstance(self.classes, str) else self.classes
        )

    def values(self) -> dict[str, Any]:
        """Returns what is described, by the names of the flags that change it; `padding` among them."""
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        options = fields.pop("options")
        return fields | {name: options[name] for name in CONVENTIONS if name in options}

    def changed(self, values: Mapping[str, Any]) -> "WeightDescription":
        """Returns the description with other values, by the names of flags; these are no longer assumed.

        Raises:
          ModelError: a value that is impossible, or an option that the model does not have.
        """
        options = {name: values[name] for name in CONVENTIONS if name in values}
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name not in CONVENTIONS
        }
        assumed = tuple(name for name in self.assumed if name not in values)
        known = parse(f"{self.model}:{_listed(options)}")[1]
        description = dataclasses.replace(
            self, options=dict(self.options) | known, assumed=assumed, **fields
        )
        _check(description)
        return description

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object that the description is written as."""
        return {"format": FORMAT, "version": VERSION} | {
            each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)
        }


def describe(
    spec: str, num_classes: int, stated: Mapping[str, Any] | None = None
) -> WeightDescription:
    """Returns what weights of a model need, as far as it is stated; the rest is what the registry says of the model.

    Args:
      spec: `name` or `name:option=value,...`.
      num_classes: how many the weights tell apart.
      stated: values by the names of flags, such as `mean` and `padding`.

    Raises:
      ModelError: an unknown model or option, or an impossible value.
    """
    name, listed = parse(spec)
    known = info(name)
    options = known.options | listed
    preprocessing = ("mean", "std", "channel_order", "image_size", "crop_fraction", "interpolation")
    conventions = [each for each in CONVENTIONS if each in options and each not in listed]
    return WeightDescription(
        model=name,
        options=options,
        mean=known.mean,
        std=known.std,
        channel_order="rgb",
        image_size=known.input_size,
        crop_fraction=known.crop_fraction,
        interpolation=known.interpolation,
        classes=imagenet_classes.list_of(num_classes) or (),
        assumed=(*conventions, *preprocessing, "classes"),
    ).changed(stated or {})


def describe_weights(
    model: Classifier, source: str | Path, values: Mapping[str, Any]
) -> WeightDescription:
    """Returns the description of weights that a model holds.

    Args:
      model: with the weights and all its options.
      source: where they are from, for the message of an error.
      values: what is stated of them, by the names of flags; the rest is the registry's.

    Raises:
      ModelError: an impossible value, or other numbers of classes than the weights have.
    """
    described = describe(model.spec, model.num_classes, values)
    options = info(model.spec).options | parse(model.spec)[1]
    described = dataclasses.replace(described, options=options)
    check_classes(described, model.num_classes, str(source))
    return described


def path_of(weights: str | Path) -> Path:
    """Returns where the description of a file of weights lies: its name, with `.json` for the last suffix."""
    return Path(weights).with_suffix(".json")


def find(weights: str | Path) -> WeightDescription | None:
    """Returns the description beside a file of weights; None if there is none.

    Raises:
      ModelError: there is one that is damaged, or not a description of weights; the message names it.
    """
    path = path_of(weights)
    if path == Path(weights) or not path.is_file():
        return None
    return _read(path)


def write(description: WeightDescription, weights: str | Path) -> Path:
    """Writes the description beside a file of weights, and returns its path.

    Raises:
      OSError: it cannot be written.
    """
    path = path_of(weights)
    text = json.dumps(description.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def check_classes(description: WeightDescription, num_logits: int, source: str) -> None:
    """Checks that a description's classes and thresholds are as many as the weights' logits.

    Raises:
      ModelError: they are not.
    """
    named = len(description.class_names)
    logits = named - 1 if description.task == "binary" else named
    if named and logits != num_logits:
        raise ModelError(f"{source} tells {num_logits} classes apart, and {logits} are named.")
    if description.thresholds and len(description.thresholds) != num_logits:
        raise ModelError(
            f"{source} has {num_logits} logits, and {len(description.thresholds)} thresholds are given."
        )


def _listed(options: Mapping[str, Any]) -> str:
    return ",".join(
        f"{name}={value}" for name, value in options.items()
    )  # `parse` reads True as true


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _read(path: Path) -> WeightDescription | None:
    """Returns the description in a file; None for one of another program's."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise _odd(path, "it is too large")
        value = json.loads(content)
    except OSError as error:
        raise _odd(path, error.strerror or str(error)) from None
    except (ValueError, RecursionError):
        raise _odd(path, "it is not JSON, or only half of it") from None
    if isinstance(value, dict) and any(name in value for name in _OTHERS):
        return None
    try:
        return _decode(value)
    except ModelError as error:
        raise _odd(path, str(error)) from None


def _decode(value: Any) -> WeightDescription:
    """Returns the description that a JSON value is.

    Raises:
      ModelError: it is none; the message names the first field that is wrong.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ModelError(f"it does not say that its format is {FORMAT}")
    fields = {name: value[name] for name in value if name not in ("format", "version")}
    version = value.get("version")
    if type(version) is not int or version < 1:
        raise ModelError(f"its version is a whole number from 1, not {quoted(version)}")
    if version > VERSION:
        raise ModelError(f"it is of version {version}, and this program reads up to {VERSION}")
    known = dataclasses.fields(WeightDescription)
    for name in fields:
        if name not in [each.name for each in known]:
            raise ModelError(f"there is no field {quoted(name)}")
    for each in known:
        if each.default is dataclasses.MISSING and each.name not in fields:
            raise ModelError(f"it lacks {each.name}")
    lists = {name: tuple(item) for name, item in fields.items() if isinstance(item, list)}
    description = WeightDescription(**(fields | lists))
    _check(description)
    options = parse(_spec(description))[1]
    create_abstract(_spec(description))  # refuses values that only the model itself can judge
    return dataclasses.replace(
        description, options=info(description.model).options | options, **_floats(description)
    )


def _floats(description: WeightDescription) -> dict[str, Any]:
    """Returns the fields that are floats, also where JSON has whole numbers."""
    return {
        "mean": tuple(map(float, description.mean)),
        "std": tuple(map(float, description.std)),
        "crop_fraction": float(description.crop_fraction),
        "thresholds": tuple(map(float, description.thresholds)),
        "temperature": float(description.temperature),
    }


def _odd(path: Path, reason: str) -> ModelError:
    text = f"{shorten(str(path), 130)} cannot be read as a description of weights: {reason.rstrip('.')}"
    return ModelError(f"{shorten(text, LONGEST - 1)}.")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e30  # NaN is not, nor what no float holds


def _numbers_that(values: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(values, tuple) and all(_is_number(each) and holds(each) for each in values)


def _are_classes(classes: Any) -> bool:
    if isinstance(classes, str):
        return classes in imagenet_classes.LISTS
    return (
        isinstance(classes, tuple)
        and all(isinstance(name, str) and name.strip() for name in classes)
        and len(set(classes)) == len(classes)
    )


def _are_options(options: Any) -> bool:
    return isinstance(options, Mapping) and all(
        isinstance(value, bool | int | float | str) for value in options.values()
    )


def _are_flags(names: Any) -> bool:
    known = {each.name for each in dataclasses.fields(WeightDescription)} | {*CONVENTIONS}
    return isinstance(names, tuple) and all(
        isinstance(each, str) and each in known for each in names
    )


# What each field is, in words, and whether a value is that. Model, options and image size are checked together.
_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "model": ("a registered name", lambda value: isinstance(value, str)),
    "options": ("the model's options by name", _are_options),
    "mean": (
        "three numbers",
        lambda value: _numbers_that(value, lambda each: True) and len(value) == 3,
    ),
    "std": (
        "three numbers above 0",
        lambda value: _numbers_that(value, lambda each: each > 0) and len(value) == 3,
    ),
    "channel_order": (
        f"{' or '.join(CHANNEL_ORDERS)}",
        lambda value: isinstance(value, str) and value in CHANNEL_ORDERS,
    ),
    "image_size": ("a whole number of pixels", lambda value: type(value) is int),
    "crop_fraction": (
        "a number above 0 and at most 1",
        lambda value: _is_number(value) and 0 < value <= 1,
    ),
    "interpolation": (
        f"{' or '.join(INTERPOLATIONS)}",
        lambda value: isinstance(value, str) and value in INTERPOLATIONS,
    ),
    "classes": (
        f"{', '.join(imagenet_classes.LISTS)} or a list of names, no two of them the same",
        _are_classes,
    ),
    "task": (
        f"one of {', '.join(_TASKS)}",
        lambda value: isinstance(value, str) and value in _TASKS,
    ),
    "positive_class": ("a text", lambda value: isinstance(value, str)),
    "thresholds": (
        "numbers from 0 to 1",
        lambda value: _numbers_that(value, lambda each: 0 <= each <= 1),
    ),
    "temperature": ("a number above 0", lambda value: _is_number(value) and value > 0),
    "assumed": ("a list of names of fields", _are_flags),
}


def _check(description: WeightDescription) -> None:
    """Raises `ModelError` on the first field that has a value which it cannot have."""
    for name, (right, is_right) in _CHECKS.items():
        value = getattr(description, name)
        if not is_right(value):
            raise ModelError(f"{name} is {right}, not {quoted(_plain(value))}.")
    check_image_size(_spec(description), description.image_size)


def _spec(description: WeightDescription) -> str:
    """Returns a spec with all options of a description, known or not."""
    return f"{description.model}:{_listed(description.options)}"
