"""What is known of a model before it is made, and which facts it can be registered with."""

import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from isobudget import imagenet
from isobudget.wording import quoted, shown
from models.classifier import Classifier
from models.errors import ModelError

# What every builder is called with; its other parameters are the model's options.
BUILDER_PARAMETERS = ("num_classes", "dtype", "rngs")
# Functions that take a model's options (`**options`) have parameters of these names.
_TAKEN_BY_CALLERS = ("spec", "model", "path", "image_size", "train", "entry")
# Options that change nothing in evaluation.
_OF_TRAINING = ("dropout", "auxiliary", "auxiliary_dropout")
# A name is part of a run's folder and of specs, `name:option=value,...`.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")


@dataclasses.dataclass(frozen=True)
class Paper:
    """Where an architecture was published.

    Attributes:
      title: the paper's.
      arxiv: its arXiv number, such as "1512.03385"; None if it is not there.
      year: of publication.
    """

    title: str
    arxiv: str | None
    year: int


@dataclasses.dataclass(frozen=True)
class Reported:
    """ImageNet validation accuracy as fractions, and who reported it.

    Attributes:
      top1: the share of images whose most likely class is right.
      top5: the share of images whose class is among the five most likely; None if it was not reported.
      source: who reported it, and for which weights.
      resize_size: the shorter side in pixels that these weights expect, where it differs from the model's.
      image_size: the image side in pixels that it was reported at, where it differs from the model's `input_size`.
      options: those of the model, where they differ from their defaults: its width, say, and how it pads.
    """

    top1: float
    top5: float | None
    source: str
    resize_size: int | None = None
    image_size: int | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is known of a registered model before it is made.

    Attributes:
      name: the name it is created by.
      build: makes the module from (num_classes, dtype, rngs, **options).
      family: the architecture it is a variant of, such as "resnet"; training recipes are written for families.
      paper: where it was published.
      min_size: the smallest image side, in pixels, that it accepts.
      input_size: the image side, in pixels, at which its authors evaluate it.
      resize_size: the shorter side, in pixels, to resize to before the central crop of `input_size`.
      interpolation: how that resizing is done, such as "bilinear".
      mean: subtracted from each channel of an image scaled to 0..1.
      std: what each channel is divided by after that.
      reported: published accuracy of the model with its default options, if there is any. The defaults of `padding` and
        `epsilon` are the conventions of its source.
      also_reported: published accuracy of other weights, at other sizes or with other options.
      conventions: by library (such as "torchvision" or "keras"), how the network is computed that its weights were
        trained for: the options `padding` and `epsilon`, as far as the model has them.
      published_options: the options that torchvision sets when it loads its weights.
      options: the default of each option.
    """

    name: str
    build: Callable[..., Classifier]
    family: str
    paper: Paper
    min_size: int
    input_size: int = 224
    resize_size: int = 256
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = imagenet.MEAN
    std: tuple[float, float, float] = imagenet.STD
    reported: Reported | None = None
    also_reported: tuple[Reported, ...] = ()
    conventions: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    published_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def crop_fraction(self) -> float:
        """The side of the central crop over the shorter side of the resized image."""
        return self.input_size / self.resize_size

    def reported_at(self, image_size: int, options: Mapping[str, Any]) -> tuple[Reported, ...]:
        """Returns the published accuracies that belong to the network of these options at this image size.

        Args:
          image_size: the image side, in pixels.
          options: those that are not at their defaults, or all.
        """
        return tuple(
            each
            for each in filter(None, (self.reported, *self.also_reported))
            if (each.image_size or self.input_size) == image_size
            and self._network(each.options) == self._network(options)
        )

    def _network(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns all options but those that leave what is computed in evaluation as it is."""
        return {
            option: value
            for option, value in (self.options | dict(options)).items()
            if option not in _OF_TRAINING and option not in self.published_options
        }


def describe(name: str, build: Callable[..., Classifier], facts: Mapping[str, Any]) -> ModelInfo:
    """Returns what is known of a model that is about to be registered.

    Args:
      name: the name it shall be created by.
      build: makes the module from (num_classes, dtype, rngs, **options).
      facts: the fields of `ModelInfo`, other than those that follow from `name` and `build`.

    Raises:
      ModelError: a name, an option or a fact that no model can have; one sentence on the first.
    """
    _check_name(name)
    _check_known(name, facts)
    info = ModelInfo(name=name, build=build, options=_options(name, build), **facts)
    _check_facts(info)
    _check_sizes(info)
    _check_options_of_facts(info)
    return info


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ModelError(
            f"a model cannot be named {quoted(name)}: a name is up to 100 letters, digits and '_', '.', '+' or '-', and"
            " begins with a letter or a digit."
        )


def _check_known(name: str, facts: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(ModelInfo)]
    known = [field for field in known if field not in ("name", "build", "options")]
    for fact in facts:
        if fact not in known:
            close = difflib.get_close_matches(fact, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."
            raise ModelError(
                f"model {quoted(name)} is registered with an unknown fact {quoted(fact)}: {hint}"
            )


def _options(name: str, build: Callable[..., Classifier]) -> dict[str, Any]:
    """Returns the default of each option of a builder."""
    parameters = inspect.signature(build).parameters
    missing = [each for each in BUILDER_PARAMETERS if each not in parameters]
    if missing:
        raise ModelError(
            f"the function that builds {quoted(name)} has no parameter {quoted(missing[0])}: it is called with"
            f" {', '.join(BUILDER_PARAMETERS)} and the model's options."
        )
    options = {}
    for parameter in parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ModelError(
                f"parameter {quoted(parameter.name)} of model {quoted(name)} must be one that can be given by its name."
            )
        if parameter.name in BUILDER_PARAMETERS:
            continue
        if parameter.name in _TAKEN_BY_CALLERS:
            raise ModelError(
                f"model {quoted(name)} cannot have an option {quoted(parameter.name)}: functions that take a model's"
                " options use this name themselves."
            )
        # Strictly these types, as values are read from text as the type of the default.
        if type(parameter.default) not in (bool, int, float, str):
            given = "none" if parameter.default is parameter.empty else repr(parameter.default)
            raise ModelError(
                f"option {quoted(parameter.name)} of model {quoted(name)} needs a default that is a bool, an int,"
                f" a float or a str, and has {given}."
            )
        options[parameter.name] = parameter.default
    return options


def _check_facts(info: ModelInfo) -> None:
    if not isinstance(info.family, str) or not info.family.strip():
        raise ModelError(
            f"model {quoted(info.name)} needs a family, such as 'resnet' or one of its own."
        )
    if not isinstance(info.paper, Paper):
        raise ModelError(
            f"the paper of model {quoted(info.name)} is a models.Paper, not {shown(info.paper)}."
        )
    for reported in filter(None, (info.reported, *info.also_reported)):
        if not isinstance(reported, Reported):
            raise ModelError(
                f"accuracy reported of model {quoted(info.name)} is a models.Reported, not {shown(reported)}."
            )
        if not all(0 <= share <= 1 for share in (reported.top1, reported.top5 or 0)):
            raise ModelError(
                f"accuracy reported of model {quoted(info.name)} is a fraction from 0 to 1, not {shown(reported)}."
            )
    for field, values in (("mean", info.mean), ("std", info.std)):
        if not isinstance(values, tuple) or len(values) != 3:
            raise ModelError(
                f"{field} of model {quoted(info.name)} is a tuple of 3 numbers, not {shown(values)}."
            )
    if min(info.std) <= 0:
        raise ModelError(
            f"std of model {quoted(info.name)} is 3 numbers above 0, not {shown(info.std)}."
        )


def _check_sizes(info: ModelInfo) -> None:
    for field in ("min_size", "input_size", "resize_size"):
        size = getattr(info, field)
        if type(size) is not int or size < 1:
            raise ModelError(
                f"{field} of model {quoted(info.name)} is a whole number of pixels above 0, not {shown(size)}."
            )
    for field, least in (("input_size", "min_size"), ("resize_size", "input_size")):
        if getattr(info, field) < getattr(info, least):
            raise ModelError(
                f"{field} of model {quoted(info.name)} is {getattr(info, field)} pixels, below its {least} of"
                f" {getattr(info, least)}."
            )


def _check_options_of_facts(info: ModelInfo) -> None:
    figures = filter(None, (info.reported, *info.also_reported))
    given: list[tuple[str, Mapping[str, Any]]] = [("published_options", info.published_options)]
    given += [("conventions", options) for options in info.conventions.values()]
    given += [("an accuracy reported", figure.options) for figure in figures]
    for fact, options in given:
        for option in options:
            if option not in info.options:
                raise ModelError(
                    f"{fact} of model {quoted(info.name)} set {quoted(option)}, which is no option of it."
                )
