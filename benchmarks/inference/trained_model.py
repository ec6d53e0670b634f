"""A trained model, ready to use: the weights of a finished run or of a file, and how pictures are fed to them."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import derived, stored
from benchmarks.config.fields import default_config
from benchmarks.config.setup import Setup, set_up
from benchmarks.errors import ConfigError
from benchmarks.machine.mesh import create_mesh, replicate, replicated
from benchmarks.runs import validation
from benchmarks.runs.record import finished_record
from benchmarks.steps.abstract import DTYPES, abstract_model, shapes, split_configured
from benchmarks.steps.pure_model import PureModel
from benchmarks.weights.stored import load_weights, weights_digest
from models import imagenet_classes, pretrained, weight_description, weight_flags
from models.errors import quoted
from models.weight_description import WeightDescription
from results import records
from results.records import layout, predictions

# What a run's configuration says of how it is fed, by the names of the flags.
_FIELDS = ("mean", "std", "crop_fraction", "interpolation")


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with its weights, ready to answer.

    Attributes:
      setup: how it is fed: image size, crop, interpolation, normalization and dtype; for a run also its dataset.
      model: the model as pure functions over the two that follow.
      params, batch_stats: plain nested dicts of arrays, with a copy on each device.
      source: the run's folder or the file.
      record: the run's; None for a file.
      description: what the weights need, as they are used here; None where nobody asked.
      described_in: the file that describes them; empty for a run, and where the registry's values are assumed.
      overridden: what was described otherwise than it is used, as (described, used) by the names of flags.
    """

    setup: Setup
    model: PureModel
    params: dict
    batch_stats: dict
    source: str
    record: records.RunRecord | None = None
    description: WeightDescription | None = None
    described_in: str = ""
    overridden: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> ConfigDict:
        """The configuration that the setup follows from."""
        return self.setup.config

    @property
    def label(self) -> str:
        """The model with its options, as commands take it."""
        return self.setup.model

    @property
    def image_size(self) -> int:
        """The side of the images that it is fed, in pixels."""
        return self.setup.eval_image_size

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the weights tell apart; ImageNet's in words, also where a dataset has their synsets.

        A run's folder holds those of its dataset, except an older run's, for which they are read from the dataset; that
        may raise `DataError`. A file has those of its description, or ImageNet's if they are as many; any others are
        numbered.

        Raises:
          RecordError: the run's list of classes is damaged.
        """
        if self.record is None:
            count = self.model.num_logits
            if self.description and self.description.class_names:
                return self.description.class_names
            names = imagenet_classes.LISTS.get(imagenet_classes.list_of(count))
            return names or tuple(f"class {label}" for label in range(count))
        kept = predictions.read_class_names(Path(self.source))
        if kept:
            return imagenet_classes.in_words(kept)
        own = self.config.copy_and_resolve_references()
        own.dataset = self.record.config["dataset"]  # it may be evaluated on another one
        return imagenet_classes.in_words(tasks.load_dataset(own).class_names)

    @property
    def needs(self) -> WeightDescription:
        """What the weights need, as they are used here."""
        if self.description:
            return self.description
        name, options = models.parse(self.label)
        decision = self.record and self.record.decision
        return WeightDescription(
            model=name,
            options=models.info(name).options | options,
            mean=self.setup.mean,
            std=self.setup.std,
            channel_order=self.model.channel_order,
            image_size=self.image_size,
            crop_fraction=self.config.crop_fraction,
            interpolation=self.config.interpolation,
            classes=imagenet_classes.name_of(self.class_names),
            task=self.model.task.name,
            positive_class=self.config.positive_class,
            thresholds=tuple(((decision and decision.thresholds) or {}).values()),
            temperature=self.temperature,
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where the weights are used otherwise than their description or run says, a line for each."""
        origin = self.described_in or self.source
        return tuple(
            f"{name}={_shown(used)} in place of {_shown(described)}, which {origin} says"
            for name, (described, used) in self.overridden.items()
        )

    @property
    def logit_names(self) -> tuple[str, ...]:
        """The class that each logit stands for."""
        return self.model.task.logit_names(self.class_names)

    @property
    def thresholds(self) -> np.ndarray | None:
        """The threshold of each logit's confidence [num_logits]; None if nothing is decided by a threshold.

        A run's were chosen on its validation split; a file's are in its description, or all a half.
        """
        decision = self.record and self.record.decision
        if decision and decision.thresholds:
            return np.array([*decision.thresholds.values()])
        if self.description and self.description.thresholds:
            return np.array(self.description.thresholds)
        return self.model.task.default_thresholds(self.model.num_logits)

    @property
    def run_record(self) -> records.RunRecord:
        """The record of the run that the weights come from.

        Raises:
          ConfigError: they come from a file.
        """
        if self.record is None:
            raise ConfigError(f"{self.source} is not a run, so it has no record.")
        return self.record

    @property
    def calibrated(self) -> bool:
        """Whether a temperature was fitted to its confidences (`benchmarks.calibrate`)."""
        if self.description:
            return self.description.temperature != 1
        return bool(self.record and self.record.decision and self.record.decision.temperature)

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become confidences; 1 if they are not calibrated."""
        if self.description:
            return self.description.temperature
        decision = self.record and self.record.decision
        return (decision and decision.temperature) or 1.0

    def decide(
        self, confidence: np.ndarray, raw: np.ndarray, threshold: float | None = None
    ) -> tuple[str, ...]:
        """Returns the labels that one picture gets.

        Args:
          confidence: in each logit's class [num_logits].
          raw: the same before any temperature, which is what the run's own thresholds apply to.
          threshold: the confidence that a label needs, in place of the run's own thresholds.
        """
        above: np.ndarray | None = None
        if threshold is not None:
            above = confidence >= threshold
        elif self.thresholds is not None:
            above = raw >= self.thresholds
        return self.model.task.decide(confidence, above, self.class_names)

    def logits(self, images: jax.Array) -> jax.Array:
        """Returns float32 logits [batch, num_logits] of uint8 images [batch, height, width, 3]."""
        return self.model.logits(self.params, self.batch_stats, images)

    def module(self) -> models.Classifier:
        """Returns the model as a module that holds its weights."""
        return self.model.merge(self.params, self.batch_stats)


def confidences(
    model: PureModel, params: dict, batch_stats: dict, images: jax.Array, temperature: float
) -> dict[str, jax.Array]:
    """Returns the `confidence` of each logit and its `raw` one, before the temperature: both [batch, num_logits].

    Args:
      model: static where this is compiled.
      params, batch_stats: its weights.
      images: uint8 [batch, height, width, 3] or [batch, crops, height, width, 3].
      temperature: what logits are divided by.
    """
    logits = model.logits(params, batch_stats, images)
    return {
        "confidence": model.task.confidences(logits / temperature),
        "raw": model.task.confidences(logits),
    }


def from_run(workdir: str | Path, **changes) -> TrainedModel:
    """Returns the model of a finished run, its weights checked against its record.

    Args:
      workdir: the run's folder.
      **changes: fields of the run's configuration to change: `image_size`, `crop_fraction`, `mean`, `dtype`, ...

    Raises:
      ConfigError, CheckpointError, ModelError: no such run, damaged weights, or a field with an impossible value.
    """
    workdir = Path(workdir)
    for flag in ("channel_order", "classes", *weight_description.CONVENTIONS):
        if flag in changes:
            raise ConfigError(f"--{flag} goes with --weights: what a run has, it was trained with.")
    record = finished_record(workdir)
    if record is None:
        raise ConfigError(f"there is no completed run in {workdir}.")
    config = stored.load(layout.path_in(workdir))
    own = _fed(set_up(config, record.model.num_classes))
    config.update(changes)
    if "image_size" in changes:
        config.eval_image_size = ""  # the size that was asked for holds in evaluation too
    validation.validate(config)
    setup = set_up(config, record.model.num_classes)
    model, params, batch_stats = abstract_model(setup)
    everywhere = replicated(create_mesh())
    weights = load_weights(workdir, *shapes((params, batch_stats), everywhere))
    if weights_digest(*weights) != record.weights_digest:
        raise ConfigError(
            f"the weights in {workdir / 'weights'} are not those of its record; train the run again."
        )
    overridden = _differences(own, _fed(setup))
    return TrainedModel(setup, model, *weights, str(workdir), record, overridden=overridden)


def from_weights(model: str | None, weights: str | Path, **changes) -> TrainedModel:
    """Returns a model with the weights of a file, fed as its description says, or else as the model's authors feed it.

    Args:
      model: `name` or `name:option=value,...`; None for the one that is described beside the file.
      weights: see `models.pretrained.load`; what they need is described beside them (`models.weight_description`).
      **changes: fields of the configuration, `image_size`, `crop_fraction`, `mean`, `dtype`, ..., and what else can be
        described: `channel_order`, `padding`, `epsilon`, `classes`.

    Raises:
      ConfigError, ModelError: an unknown model, a file that does not fit it or its description, a damaged description,
        or a field with an impossible value.
    """
    described = weight_description.find(weights)
    beside = str(weight_description.path_of(weights)) if described else ""
    if model is None:
        if described is None:
            raise ConfigError(
                f"say --model: there is no {weight_description.path_of(weights)} that describes the weights."
            )
        model = described.spec
    name, options = models.parse(model)
    if described and described.model != name:
        raise ConfigError(f"{beside} describes weights of {described.model}, not of {name}.")
    origin = described or weight_description.describe(model, 0)
    config = default_config()
    config.model, config.image_size = model, str(origin.image_size)
    conventions = weight_description.CONVENTIONS
    describable = (*origin.values(), *conventions)
    for key in changes:
        if key not in config and key not in describable:
            raise ConfigError(f"there is no field {quoted(key)} to change.")
    config.update({key: value for key, value in changes.items() if key in config})
    stated = {key: value for key, value in changes.items() if key in describable}
    if "image_size" in stated:
        stated["image_size"] = derived.image_size(config)
    needed = origin.changed(stated)
    options |= {key: needed.options[key] for key in conventions if key in stated}
    if described:
        options = dict(described.options) | options
    _feed(config, needed)
    validation.validate(config)
    loaded = pretrained.load(name, weights, dtype=DTYPES[config.dtype], **options)
    # Of what nobody stated, the file has its own: options that it was saved with, and the number of classes.
    config.model = loaded.spec
    needed = dataclasses.replace(
        needed,
        options=models.info(name).options | models.parse(loaded.spec)[1],
        classes=needed.classes or imagenet_classes.list_of(loaded.num_classes) or (),
    )
    weight_description.check_classes(needed, loaded.num_classes, beside or str(weights))
    setup = set_up(config, loaded.num_classes)
    pure, *values = split_configured(setup, loaded)
    pure = dataclasses.replace(pure, channel_order=needed.channel_order)
    params, batch_stats = replicate(tuple(values), create_mesh())
    overridden = _differences(_flat(described), _flat(needed)) if described else {}
    return TrainedModel(
        setup,
        pure,
        params,
        batch_stats,
        str(weights),
        description=needed,
        described_in=beside,
        overridden=overridden,
    )


def define_flags() -> None:
    """Defines --workdir, or --weights with --model, and the flags that change how either is fed."""
    flags.DEFINE_string(
        "workdir",
        None,
        "The folder of a finished run whose weights are used. Give either this, or --weights.",
    )
    flags.DEFINE_string(
        "model",
        None,
        "The model that the file of --weights belongs to, written NAME or NAME:option=value,option=value. By default "
        "the one that is described beside the file (docs/weights.md).",
    )
    flags.DEFINE_string(
        "weights",
        None,
        "A file of weights that models.pretrained reads or has written, such as .pth or .safetensors. What is "
        "described beside it is used (docs/weights.md); for other files, say --model.",
    )
    weight_flags.define()


def from_flags(**changes) -> TrainedModel:
    """Returns the trained model that the command line names, fed as it says.

    Args:
      **changes: other fields of the configuration to change.

    Raises:
      ConfigError, CheckpointError, ModelError: as `from_run` and `from_weights`, or the flags name neither or both.
    """
    given = flags.FLAGS
    check_flags()
    changes |= weight_flags.given()
    if given.workdir:
        return from_run(given.workdir, **changes)
    return from_weights(given.model, given.weights, **changes)


def check_flags() -> None:
    """Raises `ConfigError` unless the command line names either a run or a file of weights."""
    given = flags.FLAGS
    if bool(given.workdir) == bool(given.weights) or (given.workdir and given.model):
        raise ConfigError(
            "say --workdir, or --model and --weights; --weights alone if they are described."
        )


def _feed(config: ConfigDict, needed: WeightDescription) -> None:
    """Writes what weights need into the fields of a configuration."""
    config.image_size = str(needed.image_size)
    for field in (*_FIELDS, "task", "positive_class"):
        config[field] = getattr(needed, field)


def _fed(setup: Setup) -> dict[str, Any]:
    """Returns how a run is fed, by the names of the flags that change it."""
    return {
        "mean": setup.mean,
        "std": setup.std,
        "image_size": setup.eval_image_size,
        "crop_fraction": setup.config.crop_fraction,
        "interpolation": setup.config.interpolation,
    }


def _flat(description: WeightDescription) -> dict[str, Any]:
    return description.values() | dict(description.options)


def _differences(described: dict[str, Any], used: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (described[name], value)
        for name, value in used.items()
        if name in described and name != "assumed" and described[name] != value
    }


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        few = value if len(value) <= 3 else (*value[:2], "...")
        return ",".join(f"{each}" for each in few)
    return f"{value}"
