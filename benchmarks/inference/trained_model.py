"""Trained weights to use: a finished run's, or those of a file, as the pure function that evaluation has."""

import dataclasses
import functools
import json
from importlib import resources
from pathlib import Path

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import derived, stored
from benchmarks.config.fields import default_config
from benchmarks.errors import ConfigError
from benchmarks.machine.mesh import create_mesh, replicate, replicated
from benchmarks.runs import validation
from benchmarks.runs.record import finished_record
from benchmarks.steps.abstract import DTYPES, abstract_model, shapes, split_configured
from benchmarks.steps.pure_model import PureModel
from benchmarks.weights.stored import load_weights, weights_digest
from models import pretrained
from results import records
from results.records import predictions

# The names that torchvision's weights carry (torchvision/models/_meta.py, BSD 3-Clause), in the order of the labels.
_IMAGENET_CLASSES = "imagenet_classes.txt"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model with its weights.

    Attributes:
      config: how it is fed: image size, crop, interpolation, normalisation, dtype; the dataset of a run.
      model: as pure functions over the two that follow.
      params, batch_stats: plain nested dicts of arrays, a copy on each device.
      source: the run's folder or the file.
      record: the run's; None of a file.
    """

    config: ConfigDict
    model: PureModel
    params: dict
    batch_stats: dict
    source: str
    record: records.RunRecord | None = None

    @property
    def label(self) -> str:
        """The model with its options, as commands take it."""
        return models.label(*models.parse(self.config.model))

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return derived.eval_image_size(self.config)

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes of its dataset.

        A run keeps its own; one that does not yet is asked for its dataset, which may raise `DataError`. Files of 1000
        classes are ImageNet's, any other's are numbered.
        """
        if self.record is None:
            return _names_of_file(self.model.num_logits)
        path = Path(self.source) / predictions.CLASS_NAMES
        if path.exists():
            return tuple(json.loads(path.read_text()))
        own = self.config.copy_and_resolve_references()
        own.dataset = self.record.config["dataset"]  # it may be evaluated on another one
        return tasks.load_dataset(own).class_names

    @property
    def logit_names(self) -> tuple[str, ...]:
        """Which class each logit speaks for."""
        return self.model.task.logit_names(self.class_names)

    @property
    def thresholds(self) -> np.ndarray | None:
        """Of each logit's confidence [num_logits]: those chosen on the validation split, a half of a file.

        None where nothing is decided by a threshold.
        """
        decision = self.record and self.record.decision
        if decision and decision.thresholds:
            return np.array([*decision.thresholds.values()])
        return self.model.task.default_thresholds(self.model.num_logits)

    def logits(self, images: jax.Array) -> jax.Array:
        """Returns float32 logits [batch, num_logits] of uint8 images [batch, height, width, 3]."""
        return self.model.logits(self.params, self.batch_stats, images)

    def module(self) -> models.Classifier:
        """Returns the model as a module that holds its weights."""
        return self.model.merge(self.params, self.batch_stats)


def from_run(workdir: str | Path, **changes) -> Trained:
    """Returns the weights of a finished run, checked against its record.

    Args:
      workdir: the run's folder.
      **changes: fields of the run's configuration to change: `image_size`, `crop_fraction`, `dtype`, ...

    Raises:
      ConfigError, CheckpointError, ModelError: no such run, damaged weights, or a field that cannot be so.
    """
    workdir = Path(workdir)
    record = finished_record(workdir)
    if record is None:
        raise ConfigError(f"there is no completed run in {workdir}.")
    config = stored.load(workdir / "record.json")
    config.update(changes)
    validation.validate(config)
    model, params, batch_stats = abstract_model(config, record.model.num_classes)
    everywhere = replicated(create_mesh())
    weights = load_weights(workdir, *shapes((params, batch_stats), everywhere))
    if weights_digest(*weights) != record.weights_digest:
        raise ConfigError(
            f"the weights in {workdir / 'weights'} are not those of its record; train the run again."
        )
    return Trained(config, model, *weights, str(workdir), record)


def from_weights(model: str, weights: str | Path, **changes) -> Trained:
    """Returns the weights of a `.pth` or `.safetensors` file, fed as the model's authors feed it.

    Args:
      model: `name` or `name:option=value,...`.
      weights: see `models.pretrained.load`.
      **changes: fields of the configuration: `image_size`, `crop_fraction`, `dtype`, ...

    Raises:
      ConfigError, ModelError: an unknown model, a file that does not fit it, or a field that cannot be so.
    """
    info = models.info(model)
    config = default_config()
    config.model = model
    config.image_size, config.crop_fraction = str(info.input_size), info.crop_fraction
    config.interpolation = info.interpolation
    config.update(changes)
    validation.validate(config)
    loaded = pretrained.load(model, weights, dtype=DTYPES[config.dtype])
    pure, *values = split_configured(config, loaded)
    placed = replicate(tuple(values), create_mesh())
    return Trained(config, pure, *placed, str(weights))


def define_flags() -> None:
    """Defines --workdir, or --model with --weights."""
    flags.DEFINE_string("workdir", None, "A finished run's folder, or say --model and --weights.")
    flags.DEFINE_string("model", None, "NAME[:option=value,...] of the weights.")
    flags.DEFINE_string("weights", None, "A .pth or .safetensors file, torchvision's or timm's.")


def from_flags(**changes) -> Trained:
    """Returns the weights that the command line names.

    Raises:
      ConfigError, CheckpointError, ModelError: as `from_run` and `from_weights`, or neither is named.
    """
    given = flags.FLAGS
    if given.workdir and not (given.model or given.weights):
        return from_run(given.workdir, **changes)
    if given.model and given.weights and not given.workdir:
        return from_weights(given.model, given.weights, **changes)
    raise ConfigError("say --workdir, or --model and --weights.")


def _names_of_file(num_classes: int) -> tuple[str, ...]:
    names = resources.files(models).joinpath(_IMAGENET_CLASSES).read_text().splitlines()
    if num_classes == len(names):
        return tuple(names)
    return tuple(f"class {label}" for label in range(num_classes))
