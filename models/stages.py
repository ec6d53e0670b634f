"""Which parameters and batch statistics belong to which stage of a model, read from its jaxpr."""

from collections.abc import Mapping

from flax import nnx
from jax.extend import core

from models.classifier import Classifier
from models.macs import trace, variable_paths

# An attribute path: `("layer1", "0", "conv1", "kernel")`.
Path = tuple[str, ...]

_MARK = "stage:"


def stage_variables(model: Classifier) -> Mapping[str, frozenset[Path]]:
    """Returns the paths of the variables in each stage, by the stage's name, in order.

    The classifier after the last stage and auxiliary heads are in no stage. Nothing is allocated or compiled.

    Args:
      model: of real or of abstract values.
    """
    jaxpr = trace(model, model.min_size).jaxpr
    path_of = dict(zip(jaxpr.invars[:-1], variable_paths(model), strict=True))
    stages: dict[str, frozenset[Path]] = {}
    inside: set[Path] = set()
    # `Classifier` names the output of every stage, and equations are in the order in which they were traced.
    for equation in jaxpr.eqns:
        inputs = (each for each in equation.invars if not isinstance(each, core.Literal))
        inside.update(path_of[each] for each in inputs if each in path_of)
        name = equation.params.get("name", "")
        if equation.primitive.name == "name" and name.startswith(_MARK):
            stages[name.removeprefix(_MARK)] = frozenset(inside)
            inside = set()
    return stages


def head_path(model: Classifier) -> Path:
    """Returns the path of the layer that makes the logits."""
    return tuple(model.head.split("."))


def auxiliary_paths(model: Classifier) -> Mapping[str, Path]:
    """Returns the path of each auxiliary head by the stage whose output it reads."""
    return {stage: _path_of(model, part) for stage, part in model.auxiliary_heads().items()}


def head_paths(model: Classifier) -> frozenset[Path]:
    """Returns the paths of the layers that `replace_head` replaces: the head, and the last ones of auxiliary heads."""
    auxiliary = {
        (*path, *model.auxiliary_heads()[stage].head.split("."))
        for stage, path in auxiliary_paths(model).items()
    }
    return frozenset({head_path(model), *auxiliary})


def _path_of(model: Classifier, part: nnx.Module) -> Path:
    return next(tuple(map(str, path)) for path, node in nnx.iter_graph(model) if node is part)
