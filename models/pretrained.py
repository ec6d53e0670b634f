"""Weights in and out: torchvision's and timm's state dicts to models of this suite, and back.

Attributes have torchvision's names, so a tensor's name says where it belongs. Kernels change their layout, from
PyTorch's [out, in, height, width] and [out, in] to [height, width, in, out] and [in, out]. Every tensor must be used,
and every parameter filled.

    python -m models.pretrained --model=resnet50 --weights=resnet50-0676ba61.pth --out=DIR
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import flags
from flax import nnx
from jax.typing import DTypeLike
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from isobudget import command, plugins
from models import torch_files
from models.classifier import Classifier
from models.errors import ModelError
from models.registry import create_abstract, info, parse
from models.timm_names import to_torchvision

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_COUNTER = "num_batches_tracked"
_TORCH_SUFFIXES = (".pth", ".pt")


def load(
    spec: str, path: str | Path, *, dtype: DTypeLike | None = None, **options: Any
) -> Classifier:
    """Returns a model with the weights, and the number of classes, of a file.

    Args:
      spec: `name` or `name:option=value,...`.
      path: a `.pth` or `.safetensors` file with torchvision's or timm's names.
      dtype: the compute dtype.
      **options: the model's options, over those in `spec`. Any others are those the file says it was saved with. A file
        that does not say comes from torchvision or timm, and any others are those of its weights there.

    Raises:
      ModelError: an unknown model or option, a file that cannot be read, or one that does not fit; the message lists
        the tensors and parameters that are left over.
    """
    name, listed = parse(spec)
    tensors, saved = read(path)
    tensors, wanted = to_torchvision(name, tensors)
    if saved is None:
        assumed = info(name).published_options | wanted
    else:
        saved_name, assumed = parse(saved)
        if saved_name != name:
            raise ModelError(f"{path} holds the weights of {saved}, not of {name}.")
    chosen = assumed | listed | options
    head = f"{create_abstract(name).head}.weight"
    num_classes = tensors[head].shape[0] if head in tensors else 1000
    model = create_abstract(name, num_classes, dtype=dtype, **chosen)
    assign(model, tensors, source=str(path))
    return model


def save(model: Classifier, path: str | Path) -> None:
    """Writes a model's weights with torchvision's names and layout, as `.pth` or `.safetensors` by the path's suffix.

    A `.safetensors` file says which model it is, options included.

    Raises:
      ModelError: another suffix.
    """
    path = Path(path)
    tensors = state_dict(model)
    if path.suffix in _TORCH_SUFFIXES:
        torch_files.write(tensors, path)
    elif path.suffix == ".safetensors":
        save_file(tensors, path, metadata={"model": model.spec, "format": "pt"})
    else:
        raise ModelError(f"weights are .pth or .safetensors files, not {path.name!r}.")


def read(path: str | Path) -> tuple[dict[str, np.ndarray], str | None]:
    """Returns (tensors by name, the model they were saved from or None if the file does not say).

    Raises:
      ModelError: the file is missing, damaged, of another kind, or would run code.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                saved = (file.metadata() or {}).get("model")
                return {name: file.get_tensor(name) for name in file.keys()}, saved  # noqa: SIM118
        if path.suffix in _TORCH_SUFFIXES:
            return torch_files.read(path), None
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}.") from None
    except (OSError, SafetensorError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} cannot be read as weights: {error}.") from error
    raise ModelError(f"weights are .pth or .safetensors files, not {path.name!r}.")


def state_dict(model: Classifier) -> dict[str, np.ndarray]:
    """Returns a model's parameters and batch statistics by torchvision's names, in PyTorch's layout."""
    tensors = {}
    for path, variable in _variables(model):
        tensors[_name(path)] = _to_torch(path, np.asarray(variable.get_value()))
        if path[-1] == "var":
            tensors[".".join((*path[:-1], _COUNTER))] = np.zeros((), np.int64)
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
      ModelError: tensors without a parameter, parameters without a tensor, or shapes that differ; all are listed.
    """
    variables = {_name(path): (path, variable) for path, variable in _variables(model)}
    offered = {name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTER)}
    differing = [
        f"{name} ({list(offered[name].shape)} in the file, {list(shape)} in the model)"
        for name, shape in shapes(model).items()
        if name in offered and offered[name].shape != shape
    ]
    faults = {
        "the model lacks": sorted(set(offered) - set(variables)),
        "the file lacks": sorted(set(variables) - set(offered)),
        "shapes differ for": differing,
    }
    if any(faults.values()):
        listed = "; ".join(
            f"{fault} {', '.join(names)}" for fault, names in faults.items() if names
        )
        raise ModelError(f"{source} does not fit {model.spec}: {listed}.")
    for name, (path, variable) in variables.items():
        value = np.asarray(offered[name]).astype(np.float32, copy=False)
        # Copied, as JAX may go on using NumPy's memory; by NumPy, as JAX would compile a copy for each shape.
        variable.set_value(jnp.asarray(np.array(_from_torch(path, value), order="C")))


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


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "model", None, "The model whose weights these are: NAME[:option=value,...]."
    )
    flags.DEFINE_string("weights", None, "A .pth or .safetensors file of torchvision or timm.")
    flags.DEFINE_string("out", None, "The folder to write weights.safetensors into.")
    flags.mark_flags_as_required(("model", "weights", "out"))
    plugins.define_flag()


def main() -> None:
    """Writes the weights of --weights, checked against --model, to `weights.safetensors` in the folder --out.

    Raises:
      ModelError: an unknown model, weights that cannot be read or do not fit it, or a folder that cannot be written.
    """
    model = load(flags.FLAGS.model, flags.FLAGS.weights)
    path = Path(flags.FLAGS.out) / "weights.safetensors"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(model, path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be written: {error}.") from error
    print(f"wrote {path}: {model.spec}")


if __name__ == "__main__":
    command.run(main, define_flags)
