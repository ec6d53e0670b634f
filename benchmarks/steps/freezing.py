"""Freezing parts of a model: the stages, or everything but the head, that training leaves as they are.

Frozen parameters are not inputs of the differentiated function, so they have no gradients, optimizer state or weight
decay, and the backward pass ends where nothing below is trained. Frozen stages run as in inference: batch norm uses its
running averages and leaves them alone.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

from ml_collections import ConfigDict

import models
from benchmarks.errors import ConfigError
from isobudget.wording import quoted

ALL = "all"


@dataclasses.dataclass(frozen=True)
class Frozen:
    """The part of a model that no step changes.

    Attributes:
      stages: names of the stages that run as in inference, without the auxiliary heads that read their outputs.
      variables: attribute paths of parameters and batch statistics.
    """

    stages: frozenset[str] = frozenset()
    variables: frozenset[tuple[str, ...]] = frozenset()

    def partition(self, tree: dict) -> tuple[dict, dict]:
        """Returns (trained, frozen), nested dicts that have no leaf in common and together are `tree`."""
        if not self.variables:
            return tree, {}
        return _partition(tree, self.variables, ())


NOTHING = Frozen()


def merge(first: dict, second: dict) -> dict:
    """Returns the nested dict with the leaves of both, which have none in common."""
    merged = dict(first)
    for key, value in second.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return merged


def names(config: ConfigDict) -> tuple[str, ...]:
    """Returns the stages that `config.transfer.frozen_stages` names, with the spaces around them removed."""
    return tuple(filter(None, (each.strip() for each in config.transfer.frozen_stages.split(","))))


def of(config: ConfigDict) -> Frozen:
    """Returns what `config` freezes of its model."""
    named = names(config)
    return _of(config.model, named) if named else NOTHING


def backbone(config: ConfigDict) -> Callable[[dict], dict]:
    """Returns the function from a tree of parameters to the tree that is false in the head and true elsewhere."""
    heads = models.head_paths(models.create_abstract(config.model))

    def mask(tree: dict, path: tuple[str, ...] = ()) -> dict:
        return {
            key: mask(value, (*path, str(key))) if isinstance(value, dict) else path not in heads
            for key, value in tree.items()
        }

    return mask


@functools.cache
def _of(spec: str, named: tuple[str, ...]) -> Frozen:
    model = models.create_abstract(spec)
    everything = models.variable_paths(model)
    if named == (ALL,):
        head = models.head_path(model)
        everything_else = frozenset(path for path in everything if path[:-1] != head)
        return Frozen(frozenset(model.stages()), everything_else)
    stages = models.stage_variables(model)
    kept = {path for name in named for path in stages[name]}
    for stage, head in models.auxiliary_paths(model).items():
        if stage in named:
            kept.update(path for path in everything if path[: len(head)] == head)
    return Frozen(frozenset(named), frozenset(kept))


def _partition(tree: dict, variables: frozenset, path: tuple[str, ...]) -> tuple[dict, dict]:
    trained: dict = {}
    frozen: dict = {}
    for key, value in tree.items():
        here = (*path, str(key))
        if isinstance(value, dict):
            parts = _partition(value, variables, here)
            for whole, part in zip((trained, frozen), parts, strict=True):
                if part:
                    whole[key] = part
        else:
            (frozen if here in variables else trained)[key] = value
    return trained, frozen


def validate(config: ConfigDict) -> None:
    """Checks that `config.transfer` can be run.

    Raises:
      ConfigError: a field has an impossible value; the message says what is possible.
    """
    factor = config.transfer.backbone_learning_rate
    if not (math.isfinite(factor) and factor > 0):
        raise ConfigError(
            f"config.transfer.backbone_learning_rate is a number above 0, not {factor}:"
            " config.transfer.frozen_stages keeps layers as they are."
        )
    named = names(config)
    if not named or named == (ALL,):
        return
    known = tuple(models.create_abstract(config.model).stages())
    for name in named:
        if name not in known:
            raise ConfigError(
                f"config.transfer.frozen_stages: {config.model} has no stage {quoted(name)}, but {', '.join(known)};"
                f' "{ALL}" is everything but the head.'
            )
