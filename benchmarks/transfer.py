"""Beginning a run with the weights of another: everything but the head, which is new."""

import dataclasses
import hashlib
import math
from pathlib import Path

import jax
import optax
from ml_collections import ConfigDict

import models
from benchmarks import checkpoints, devices, freezing, optimizers, steps
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from models import pretrained
from results import records

_FILES = (".pth", ".pt", ".safetensors")


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights to begin with.

    Attributes:
      path: a finished run's folder, or a file.
      digest: the run's `weights_digest`, or the file's SHA-256 (hex).
      run: the run's record; None of a file.
    """

    path: Path
    digest: str
    run: records.RunRecord | None = None


def source(config: ConfigDict) -> Source | None:
    """Returns what `config.init_from` names for this model and seed; None where nothing.

    Raises:
      ConfigError: there is no such file, or no finished run of this model.
      RecordError: the run's record cannot be read.
    """
    if not config.init_from:
        return None
    name, seed = config_lib.folder_name(config.model), str(config.seed)
    text = config.init_from.replace("{model}", name).replace("{seed}", seed)
    path = Path(text).expanduser()
    if path.suffix in _FILES:
        return Source(path, _sha256(path))
    if (path / "runs").is_dir():
        path = path / "runs" / config_lib.run_id(config)
    found = path / "record.json"
    record = records.read(found) if found.exists() else None
    if record is None or record.status != "completed" or not record.weights_digest:
        raise ConfigError(f"config.init_from: there is no completed run in {path}.")
    theirs, ours = record.model.name, models.parse(config.model)[0]
    if theirs != ours:
        raise ConfigError(f"config.init_from: {path} is a run of {theirs}, not of {ours}.")
    return Source(path, record.weights_digest, record)


def begin(config: ConfigDict, params: dict, batch_stats: dict) -> tuple[dict, dict]:
    """Returns the drawn weights with all but the head replaced by those that `config.init_from` names.

    Args:
      config: the run's.
      params, batch_stats: as they were drawn.

    Raises:
      ConfigError: the weights do not fit the model, or are not those of their run's record.
      ModelError: a file of weights that cannot be read or does not fit.
      CheckpointError: weights of a run that cannot be read.
    """
    found = source(config)
    if found is None:
        return params, batch_stats
    theirs = _of_run(found) if found.run else _of_file(config, found.path)
    heads = models.head_paths(models.create_abstract(config.model))
    return tuple(
        _but_head(ours, those, heads, found.path)
        for ours, those in zip((params, batch_stats), theirs, strict=True)
    )


def create_optimizer(config: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Returns the run's optimiser; all but the head moves by `config.transfer.backbone_learning_rate` times as much.

    Of every optimiser here the step is in proportion to the learning rate, decay of weights included.
    """
    optimizer = optimizers.create_optimizer(config.optimizer)
    factor = config.transfer.backbone_learning_rate
    if factor == 1:
        return optimizer
    return optax.chain(optimizer, optax.masked(optax.scale(factor), freezing.backbone(config)))


def validate(config: ConfigDict) -> None:
    """Raises one sentence on the first thing in `config.transfer` that cannot be run.

    Raises:
      ConfigError: its field and what would be right.
    """
    factor = config.transfer.backbone_learning_rate
    if not (math.isfinite(factor) and factor > 0):
        raise ConfigError(
            f"config.transfer.backbone_learning_rate is a number above 0, not {factor}:"
            " config.transfer.frozen_stages keeps layers as they are."
        )
    named = freezing.names(config)
    if not named or named == (freezing.ALL,):
        return
    known = tuple(models.create_abstract(config.model).stages())
    for name in named:
        if name not in known:
            raise ConfigError(
                f"config.transfer.frozen_stages: {config.model} has no stage {name!r}, but {', '.join(known)};"
                f' "{freezing.ALL}" is everything but the head.'
            )


def _of_run(found: Source) -> tuple[dict, dict]:
    _, *abstract = _split(models.create_abstract(found.run.label, found.run.model.num_classes))
    sharding = devices.replicated(devices.create_mesh())
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), abstract
    )
    weights = checkpoints.load_weights(found.path, *target)
    if checkpoints.weights_digest(*weights) != found.digest:
        raise ConfigError(
            f"config.init_from: the weights in {found.path} are not those of its record; train that run again."
        )
    return weights


def _of_file(config: ConfigDict, path: Path) -> tuple[dict, dict]:
    model = pretrained.load(config.model, path)
    ours = models.label(*models.parse(config.model))
    if model.spec != ours:
        # Its options are not in the names and shapes of its tensors, such as how images are normalised.
        raise ConfigError(f"config.init_from: {path} wants config.model={model.spec}, not {ours}.")
    _, *weights = _split(model)
    return weights


def _split(model: models.Classifier) -> tuple[steps.PureModel, dict, dict]:
    info = models.info(model.spec)
    return steps.split(model, info.mean, info.std)


def _but_head(ours: dict, theirs: dict, heads: frozenset, source: Path, path=()) -> dict:
    """Returns `theirs` with the leaves of `ours` below the paths `heads`."""
    if path in heads:
        return ours
    if not isinstance(ours, dict):
        if ours.shape != theirs.shape:
            raise ConfigError(
                f"config.init_from: {source} does not fit the model: {'.'.join(path)} is {list(theirs.shape)} there,"
                f" {list(ours.shape)} here."
            )
        return theirs
    unshared = sorted(ours.keys() ^ theirs.keys(), key=str)
    if unshared:
        raise ConfigError(
            f"config.init_from: {source} does not fit the model: one of them has no"
            f" {'.'.join((*path, str(unshared[0])))}."
        )
    return {
        key: _but_head(value, theirs[key], heads, source, (*path, str(key)))
        for key, value in ours.items()
    }


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"config.init_from: {path} cannot be read: {error.strerror}.") from None
