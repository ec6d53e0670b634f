"""Beginning a run with the weights of another: everything but the head, which is new."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import models
from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.machine.mesh import create_mesh, replicated
from benchmarks.steps.abstract import shapes
from benchmarks.steps.pure_model import PureModel, split_module
from benchmarks.weights.stored import load_weights, weights_digest
from isobudget import paths
from models import pretrained, weight_description
from results import records


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights to begin with.

    Attributes:
      path: a finished run's folder, or a file.
      digest: the run's `weights_digest`, or the file's SHA-256 (hex).
      run: the run's record; None for a file.
    """

    path: Path
    digest: str
    run: records.RunRecord | None = None


def source(config: ConfigDict) -> Source | None:
    """Returns what `config.init_from` names for this model and seed; None if it is empty.

    Raises:
      ConfigError: there is no such file, no finished run of this model, or a file of weights that need another
        normalization than the run's, by the description beside it.
      ModelError: that description is damaged.
      RecordError: the run's record cannot be read.
    """
    if not config.init_from:
        return None
    named = [_named(config, *names) for names in derived.names_of_run(config)]
    path = next((path for path in named if path.exists()), named[0])
    if path.suffix.lower() in pretrained.READ_SUFFIXES:
        digest = _sha256(path)
        _check_described(config, path)
        return Source(path, digest)
    file = records.path_in(path)
    record = records.read(file) if file.exists() else None
    if record is None or record.status != "completed" or not record.weights_digest:
        raise ConfigError(f"config.init_from: there is no completed run in {path}.")
    theirs, ours = record.model.name, models.parse(config.model)[0]
    if theirs != ours:
        raise ConfigError(f"config.init_from: {path} is a run of {theirs}, not of {ours}.")
    _check_convention(config, path, record)
    return Source(path, record.weights_digest, record)


def _named(config: ConfigDict, model: str, run_id: str) -> Path:
    """Returns the file or the run's folder that `config.init_from` names, given the names of the model and the run."""
    text = config.init_from.replace("{model}", model).replace("{seed}", str(config.seed))
    path = paths.expanded(text, "config.init_from")
    is_file = path.suffix.lower() in pretrained.READ_SUFFIXES
    return path / "runs" / run_id if not is_file and (path / "runs").is_dir() else path


def _check_convention(config: ConfigDict, path: Path, record: records.RunRecord) -> None:
    """Checks that the weights of a run were trained with the padding and the epsilon that they are to be used with.

    Raises:
      ConfigError: with others; nothing in their names and shapes would tell.
    """
    name, options = models.parse(config.model)
    defaults = models.info(name).options
    for option in ("padding", "epsilon"):
        theirs, ours = (
            each.get(option, defaults.get(option)) for each in (record.model.options, options)
        )
        if theirs != ours:
            raise ConfigError(
                f"config.init_from: {path} was trained with {option}={theirs}, and config.model={config.model} has"
                f" {option}={ours}."
            )


def begin(config: ConfigDict, params: dict, batch_stats: dict) -> tuple[dict, dict]:
    """Returns the drawn weights with all but the head replaced by those that `config.init_from` names.

    Args:
      config: the run's.
      params, batch_stats: the weights as they were drawn.

    Raises:
      ConfigError: the weights do not fit the model, or are not those of their run's record.
      ModelError: a file of weights that cannot be read or does not fit.
      CheckpointError: weights of a run that cannot be read.
    """
    origin = source(config)
    if origin is None:
        return params, batch_stats
    path = origin.path
    theirs = _of_run(path, origin.run) if origin.run else _of_file(config, path)
    heads = models.head_paths(models.create_abstract(config.model))
    their_params, their_stats = theirs
    return (
        _but_head(params, their_params, heads, path),
        _but_head(batch_stats, their_stats, heads, path),
    )


def _check_described(config: ConfigDict, path: Path) -> None:
    """Checks that a run normalizes pictures as the weights of a file need it, if their description says how."""
    described = weight_description.find(path)
    if described is None:
        return
    beside = weight_description.path_of(path)
    name, listed = models.parse(config.model)
    if described.model != name:
        raise ConfigError(
            f"config.init_from: {beside} describes weights of {described.model}, not of {name}."
        )
    needed, ours = models.label(name, dict(described.options) | listed), models.label(name, listed)
    if needed != ours:
        raise ConfigError(
            f"config.init_from: {beside} says config.model={needed}, and the run has {ours}."
        )
    if described.channel_order != "rgb":
        raise ConfigError(
            f"config.init_from: {beside} says that the weights expect {described.channel_order.upper()} pictures, and"
            " training feeds RGB."
        )
    info = models.info(config.model)
    fed = tuple(config.mean or info.mean), tuple(config.std or info.std)
    if (described.mean, described.std) != fed:
        raise ConfigError(
            f"config.init_from: {beside} says that the weights need config.mean={described.mean} and"
            f" config.std={described.std}, and the run has {fed[0]} and {fed[1]}."
        )


def _of_run(path: Path, record: records.RunRecord) -> tuple[dict, dict]:
    _, *abstract = _split_as_published(
        models.create_abstract(record.label, record.model.num_classes)
    )
    target = shapes(tuple(abstract), replicated(create_mesh()))
    weights = load_weights(path, *target)
    if weights_digest(*weights) != record.weights_digest:
        raise ConfigError(
            f"config.init_from: the weights in {path} are not those of its record; train that run again."
        )
    return weights


def _of_file(config: ConfigDict, path: Path) -> tuple[dict, dict]:
    described = weight_description.find(path)
    if described is None:
        pretrained.check_imported(path)
    name, listed = models.parse(config.model)
    options = dict(described.options) | listed if described else listed
    model = pretrained.load(name, path, drop_background=False, **options)
    ours = models.label(*models.parse(config.model))
    if model.spec != ours:
        # Its options are not in the names and shapes of its tensors, such as how images are normalized.
        raise ConfigError(f"config.init_from: {path} needs config.model={model.spec}, not {ours}.")
    _, params, batch_stats = _split_as_published(model)
    return params, batch_stats


def _split_as_published(model: models.Classifier) -> tuple[PureModel, dict, dict]:
    info = models.info(model.spec)
    return split_module(model, info.mean, info.std)


def _but_head(
    ours: Any, theirs: Any, heads: frozenset, source: Path, path: tuple[str, ...] = ()
) -> Any:
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
