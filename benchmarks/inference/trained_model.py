"""A trained model, ready to use: the weights of a finished run or of a file, and how pictures are fed to them."""

import dataclasses
import functools
from importlib import resources
from pathlib import Path

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

import models
from benchmarks import tasks
from benchmarks.config import stored
from benchmarks.config.fields import default_config
from benchmarks.config.setup import Setup, set_up
from benchmarks.errors import ConfigError
from benchmarks.machine.mesh import create_mesh, replicate, replicated
from benchmarks.runs import validation
from benchmarks.runs.record import finished_record
from benchmarks.steps.abstract import DTYPES, abstract_model, shapes, split_configured
from benchmarks.steps.pure_model import PureModel
from benchmarks.weights.stored import load_weights, weights_digest
from models import pretrained
from results import records
from results.records import layout, predictions

# The names that torchvision's weights carry (torchvision/models/_meta.py, BSD 3-Clause), in the order of the labels.
_IMAGENET_CLASSES = "imagenet_classes.txt"


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with its weights, ready to answer.

    Attributes:
      setup: how it is fed: image size, crop, interpolation, normalization and dtype; for a run also its dataset.
      model: the model as pure functions over the two that follow.
      params, batch_stats: plain nested dicts of arrays, with a copy on each device.
      source: the run's folder or the file.
      record: the run's; None for a file.
    """

    setup: Setup
    model: PureModel
    params: dict
    batch_stats: dict
    source: str
    record: records.RunRecord | None = None

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
        """The classes of its dataset.

        A run's folder holds them, except an older run's, for which they are read from the dataset; that may raise
        `DataError`. A file of weights with 1000 classes has ImageNet's, and any other file's are numbered.

        Raises:
          RecordError: the run's list of classes is damaged.
        """
        if self.record is None:
            return _names_of_file(self.model.num_logits)
        kept = predictions.read_class_names(Path(self.source))
        if kept:
            return kept
        own = self.config.copy_and_resolve_references()
        own.dataset = self.record.config["dataset"]  # it may be evaluated on another one
        return tasks.load_dataset(own).class_names

    @property
    def logit_names(self) -> tuple[str, ...]:
        """The class that each logit stands for."""
        return self.model.task.logit_names(self.class_names)

    @property
    def thresholds(self) -> np.ndarray | None:
        """The threshold of each logit's confidence [num_logits]; None if nothing is decided by a threshold.

        A run's were chosen on its validation split; a file's are all a half.
        """
        decision = self.record and self.record.decision
        if decision and decision.thresholds:
            return np.array([*decision.thresholds.values()])
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
        return bool(self.record and self.record.decision and self.record.decision.temperature)

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become confidences; 1 if they are not calibrated."""
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
      **changes: fields of the run's configuration to change: `image_size`, `crop_fraction`, `dtype`, ...

    Raises:
      ConfigError, CheckpointError, ModelError: no such run, damaged weights, or a field with an impossible value.
    """
    workdir = Path(workdir)
    record = finished_record(workdir)
    if record is None:
        raise ConfigError(f"there is no completed run in {workdir}.")
    config = stored.load(layout.path_in(workdir))
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
    return TrainedModel(setup, model, *weights, str(workdir), record)


def from_weights(model: str, weights: str | Path, **changes) -> TrainedModel:
    """Returns a model with the weights of a `.pth` or `.safetensors` file, fed as its authors feed it.

    Args:
      model: `name` or `name:option=value,...`.
      weights: see `models.pretrained.load`.
      **changes: fields of the configuration: `image_size`, `crop_fraction`, `dtype`, ...

    Raises:
      ConfigError, ModelError: an unknown model, a file that does not fit it, or a field with an impossible value.
    """
    info = models.info(model)
    config = default_config()
    config.model = model
    config.image_size, config.crop_fraction = str(info.input_size), info.crop_fraction
    config.interpolation = info.interpolation
    config.update(changes)
    validation.validate(config)
    loaded = pretrained.load(model, weights, dtype=DTYPES[config.dtype])
    setup = set_up(config, loaded.num_classes)
    pure, *values = split_configured(setup, loaded)
    params, batch_stats = replicate(tuple(values), create_mesh())
    return TrainedModel(setup, pure, params, batch_stats, str(weights))


def define_flags() -> None:
    """Defines --workdir, or --model with --weights."""
    flags.DEFINE_string(
        "workdir",
        None,
        "The folder of a finished run whose weights are used. Give either this, or --model and --weights.",
    )
    flags.DEFINE_string(
        "model",
        None,
        "The model that the file of --weights belongs to, written NAME or NAME:option=value,option=value.",
    )
    flags.DEFINE_string(
        "weights",
        None,
        "A .pth or .safetensors file of torchvision's or timm's weights. It goes with --model.",
    )


def from_flags(**changes) -> TrainedModel:
    """Returns the trained model that the command line names.

    Raises:
      ConfigError, CheckpointError, ModelError: as `from_run` and `from_weights`, or the flags name neither or both.
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
