"""A trained model, ready to use: the weights of a finished run or of a file, and how pictures are fed to them."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import derived, stored
from benchmarks.config.fields import default_config
from benchmarks.config.setup import Setup, set_up
from benchmarks.errors import ConfigError
from benchmarks.inference import described
from benchmarks.machine.mesh import create_mesh, replicate, replicated
from benchmarks.runs import validation
from benchmarks.runs.record import finished_record
from benchmarks.steps.abstract import DTYPES, abstract_model, shapes, split_configured
from benchmarks.steps.pure_model import PureModel
from benchmarks.weights.stored import load_weights, weights_digest
from isobudget.wording import quoted
from models import imagenet_classes, pretrained, weight_description
from models.weight_description import WeightDescription
from results import records
from results.records import layout, predictions


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
        decision = (self.record and self.record.decision) or records.Decision()
        return described.of_run(self.setup, self.class_names, decision)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where the weights are used otherwise than their description or run says, a line for each."""
        return described.remarks(self.overridden, self.described_in or self.source)

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
    own = described.fed(set_up(config, record.model.num_classes))
    if {"mean", "std"} & changes.keys():  # a configuration has both or neither
        config.mean, config.std = own["mean"], own["std"]
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
    overridden = described.differences(own, described.fed(setup))
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
    beside, place = weight_description.find(weights), str(weight_description.path_of(weights))
    if model is None:
        if not Path(weights).exists():
            raise ConfigError(f"there is no file {weights}.")
        if beside is None:
            raise ConfigError(f"say --model: there is no {place} that describes the weights.")
        model = beside.spec
    if beside is None:
        pretrained.check_imported(weights)
    name, options = models.parse(model)
    if beside and beside.model != name:
        raise ConfigError(f"{place} describes weights of {beside.model}, not of {name}.")
    origin = beside or weight_description.describe(model, 0)
    config, stated = _changed(model, origin, changes)
    needed = origin.changed(stated)
    if beside:
        options = dict(beside.options) | options
    options |= {key: needed.options[key] for key in weight_description.CONVENTIONS if key in stated}
    described.feed(config, needed)
    validation.validate(config)
    # A background class stays, so that every class keeps its number.
    imported = pretrained.import_weights(
        name, weights, dtype=DTYPES[config.dtype], drop_background=False, **options
    )
    loaded = imported.model
    # Of what nobody stated, the file has its own: preprocessing, options, and the number of classes.
    if not beside:
        needed = needed.changed({**imported.stated, **stated})
        described.feed(config, needed)
    config.model = loaded.spec
    needed = dataclasses.replace(
        needed,
        options=models.info(name).options | models.parse(loaded.spec)[1],
        classes=needed.classes or imagenet_classes.list_of(loaded.num_classes) or (),
    )
    weight_description.check_classes(needed, loaded.num_classes, place if beside else str(weights))
    setup = set_up(config, loaded.num_classes)
    pure, *values = split_configured(setup, loaded)
    pure = dataclasses.replace(pure, channel_order=needed.channel_order)
    params, batch_stats = replicate(tuple(values), create_mesh())
    return TrainedModel(
        setup,
        pure,
        params,
        batch_stats,
        str(weights),
        description=needed,
        described_in=place if beside else "",
        overridden=described.changes(beside, needed) if beside else {},
    )


def _changed(
    model: str, origin: WeightDescription, changes: Mapping[str, Any]
) -> tuple[ConfigDict, dict[str, Any]]:
    """Returns (the configuration of a model with these changes, those of the changes that a description has).

    Raises:
      ConfigError: a change of what neither has.
    """
    config = default_config()
    config.model, config.image_size = model, str(origin.image_size)
    describable = (*origin.values(), *weight_description.CONVENTIONS)
    for key in changes:
        if key not in config and key not in describable:
            raise ConfigError(f"there is no field {quoted(key)} to change.")
    config.update({key: value for key, value in changes.items() if key in config})
    stated = {key: value for key, value in changes.items() if key in describable}
    if "image_size" in stated:
        stated["image_size"] = derived.image_size(config)  # which may be said in words
    return config, stated
