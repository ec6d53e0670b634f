"""A model's parameters and batch statistics as a state dict of PyTorch's, by torchvision's names, and back.

Attributes have torchvision's names, so the name of a tensor says where it belongs. Kernels change their layout, from
PyTorch's [out, in, height, width] and [out, in] to [height, width, in, out] and [in, out]. Every tensor must be used,
and every parameter filled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from isobudget.wording import shorten
from models import checkpoints
from models.classifier import Classifier
from models.errors import ModelError, enumerate_names, fitting
from models.weight_files.likely import likely_model

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


class MisfitError(ModelError):
    """Weights that are not a model's; `details` lists all that differs, a line each."""

    def __init__(self, message: str, details: Sequence[str]):
        super().__init__(message)
        self.details = tuple(details)


def state_dict(model: Classifier) -> dict[str, np.ndarray]:
    """Returns a model's parameters and batch statistics by torchvision's names, in PyTorch's layout."""
    tensors = {}
    for path, variable in _variables(model):
        tensors[_name(path)] = _to_torch(path, np.asarray(variable.get_value()))
        if path[-1] == "var":
            tensors[".".join((*path[:-1], checkpoints.COUNTER))] = np.zeros((), np.int64)
    return tensors


def shapes(model: Classifier) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a model's parameters and batch statistics by torchvision's names, in PyTorch's layout."""
    return {_name(path): _torch_shape(path, variable.shape) for path, variable in _variables(model)}


def assign(model: Classifier, tensors: Mapping[str, np.ndarray], source: str = "the file") -> None:
    """Gives a model's parameters and batch statistics the values of a state dict with torchvision's names.

    Args:
      model: changed in place; of real or of abstract values.
      tensors: PyTorch's layout; counters of batches are ignored.
      source: what the message of an error calls the tensors.

    Raises:
      ModelError: tensors without a parameter, parameters without a tensor, or shapes that differ, the first of which
        are listed; or values that no weights have, such as NaN.
    """
    variables = {_name(path): (path, variable) for path, variable in _variables(model)}
    offered = {
        name: tensor for name, tensor in tensors.items() if not name.endswith(checkpoints.COUNTER)
    }
    differing = [
        f"{name} ({list(offered[name].shape)} in the file, {list(shape)} in the model)"
        for name, shape in shapes(model).items()
        if name in offered and offered[name].shape != shape
    ]
    faults = {
        "the model lacks": [shorten(name, 60) for name in sorted(set(offered) - set(variables))],
        "the file lacks": sorted(set(variables) - set(offered)),
        "shapes differ for": differing,
    }
    if any(faults.values()):
        kernels = {name: each.shape for name, each in offered.items() if each.ndim > 1}
        head = f"{model.head}.weight"
        cause = _cause(model.spec, head, kernels, shapes(model), faults["the file lacks"])
        raise misfit(source, model.spec, faults, cause)
    for name, (path, variable) in variables.items():
        value = _checked(offered[name], name, source)
        # Copied, as JAX may go on using NumPy's memory; by NumPy, as JAX would compile a copy for each shape.
        variable.set_value(jnp.asarray(np.array(_from_torch(path, value), order="C")))


def misfit(source: str, spec: str, faults: Mapping[str, Sequence[str]], cause: str) -> MisfitError:
    def sentence(most: int) -> str:
        listed = [f"{fault} {enumerate_names(names, most)}" for fault, names in faults.items() if names]  # fmt: skip
        return f"{source} does not fit {spec}: {'; '.join(filter(None, (*listed, cause)))}."

    details = [f"{fault} {name}" for fault, names in faults.items() for name in names]
    return MisfitError(fitting(sentence), details)


def _cause(
    spec: str,
    head: str,
    kernels: Mapping[str, tuple[int, ...]],
    wanted: Mapping[str, tuple[int, ...]],
    missing: Sequence[str] = (),
) -> str:
    """Returns what is likely wrong with weights that do not fit, or nothing.

    Args:
      spec: the model's.
      head: the name of its last kernel.
      kernels: the shapes of the file's kernels by name.
      wanted: the shapes of the model's tensors by name.
      missing: the names of those that the file lacks.
    """
    if missing and all("running_" in name for name in missing):
        return "its batch norms have no statistics, without which no weights can be used"
    if head in kernels and kernels[head] != wanted[head] and kernels[head][::-1][1:2] == wanted[head][1:2]:  # fmt: skip
        return f"{head} is transposed"
    try:
        other = likely_model(list(kernels.values()), spec)
    except ModelError:  # of a model that is not registered
        return ""
    return f"these are the weights of {other}" if other else ""


def _checked(tensor: np.ndarray, name: str, source: str) -> np.ndarray:
    """Returns a tensor as float32.

    Raises:
      ModelError: it holds what no weights are: whole numbers, NaN, infinity or negative variances.
    """
    tensor = np.asarray(tensor)
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        raise ModelError(
            f"{source} holds no usable weights: {name} is of {tensor.dtype}, as if it were quantized."
        )
    with np.errstate(over="ignore"):
        value = tensor.astype(np.float32, copy=False)
    if not np.isfinite(value).all():
        kind = "NaN" if np.isnan(value).any() else "infinite values"
        raise ModelError(f"{source} holds no usable weights: {name} has {kind}.")
    if name.endswith("running_var") and value.size and value.min() < 0:
        raise ModelError(f"{source} holds no usable weights: {name} has negative variances.")
    return value


def _variables(model: nnx.Module) -> list[tuple[tuple[str, ...], nnx.Variable[Any]]]:
    return [
        (tuple(map(str, path)), node)
        for path, node in nnx.iter_graph(model)
        if isinstance(node, nnx.Param | nnx.BatchStat)
    ]


def _name(path: tuple[str, ...]) -> str:
    return ".".join((*path[:-1], _LEAVES[path[-1]]))


def _to_torch(path: tuple[str, ...], value: np.ndarray) -> np.ndarray:
    if path[-1] == "kernel":
        value = value.transpose((3, 2, 0, 1) if value.ndim == 4 else (1, 0))
    return np.ascontiguousarray(value)


def _from_torch(path: tuple[str, ...], value: np.ndarray) -> np.ndarray:
    if path[-1] == "kernel":
        value = value.transpose((2, 3, 1, 0) if value.ndim == 4 else (1, 0))
    return value


def _torch_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    if path[-1] != "kernel":
        return tuple(shape)
    *window, inputs, outputs = shape
    return (outputs, inputs, *window)
