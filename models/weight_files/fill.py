"""A file's layers, in order, as the tensors of a model: PyTorch's names and layout, batch norms taken as they are.

A convolution's bias before a batch norm goes into its mean, which is the same sum. A batch norm that a file has folded
into the convolution becomes one that only adds the bias.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isobudget.wording import shorten
from models.classifier import Classifier
from models.weight_files.order import Place, Unit
from models.weight_files.source import Padding, WeightFileError


def differences(listed: Sequence[Place], units: Sequence[Unit], head: str) -> list[str]:
    """Returns in what a file's layers are not those of a model, a phrase each; none if they are.

    Args:
      listed: the model's layers.
      units: the file's layers.
      head: the path of the model's last layer, whose number of outputs is that of the classes.
    """
    if len(listed) != len(units):
        return [f"the number of layers ({len(units)} in the file, {len(listed)} in the model)"]
    phrases = []
    for place, unit in zip(listed, units, strict=True):
        shape, wanted = _fitting_shape(unit.kernel.shape, place.shape), place.shape
        is_head = place.layer == head
        if shape[is_head:] != wanted[is_head:]:
            phrases.append(
                f"{place.layer} ({_dims(shape)} in the file, {_dims(wanted)} in the model)"
            )
        elif unit.node.kind == "convolution" and len(place.shape) == 4:
            phrases += _geometry(place, unit)
        if unit.norm is not None and place.norm is None:
            phrases.append(f"{place.layer} (a batch norm follows in the file, none in the model)")
        elif not place.has_bias and place.norm is None and unit.bias is not None:
            phrases.append(f"{place.layer} (a bias in the file, none in the model)")
    return phrases


def _geometry(place: Place, unit: Unit) -> list[str]:
    node = unit.node
    compared = (
        ("stride", node.strides[0], place.strides[0]),
        ("groups", node.groups, place.groups),
        ("pixels of padding", _amount(node.padding), _amount(place.padding)),
    )
    return [
        f"{place.layer} ({what}: {in_file} in the file, {in_model} in the model)"
        for what, in_file, in_model in compared
        if in_file != in_model and None not in (in_file, in_model)
    ]


def _amount(padding: Padding | None) -> int | None:
    """Returns the pixels of padding along the height, both sides together, if the size of the input does not matter."""
    return sum(padding[0]) if isinstance(padding, tuple) else None


def _fitting_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Returns a kernel's shape without a window of 1x1 pixels, or with one, as the model has it."""
    if len(wanted) == 2 and shape[2:] == (1, 1):
        return shape[:2]
    if len(wanted) == 2 and len(shape) == 4:
        # A dense layer over all of a feature map, written as a convolution.
        return shape[0], math.prod(shape[1:])
    return (*shape, 1, 1) if len(shape) == 2 and wanted[2:] == (1, 1) else shape


def _dims(shape: Sequence[int]) -> str:
    return str(list(shape))


def fill(
    model: Classifier, listed: Sequence[Place], units: Sequence[Unit]
) -> dict[str, np.ndarray]:
    """Returns the tensors of a model, by PyTorch's names and in its layout.

    Args:
      model: of real or of abstract values.
      listed: its layers.
      units: the file's layers, which do not differ from them.

    Raises:
      WeightFileError: a bias or batch norm of another length than its layer, or a deviation that cannot be expressed.
    """
    tensors: dict[str, np.ndarray] = {}
    channels = 3
    for place, unit in zip(listed, units, strict=True):
        kernel = unit.kernel
        if len(place.shape) == 2 and kernel.ndim == 2 and unit.node.channels_last:
            kernel = _channels_first(kernel, channels)
        outputs = len(kernel)
        tensors[f"{place.layer}.weight"] = kernel.reshape(outputs, *place.shape[1:])
        zeros = np.zeros(outputs, np.float32)
        bias = zeros if unit.bias is None else _vector(unit.bias, outputs, unit)
        if place.has_bias:
            tensors[f"{place.layer}.bias"] = bias
            bias = zeros
        if place.norm is not None:
            layer: Any = functools.reduce(getattr, place.norm.split("."), model)
            norm = normalization(unit.norm, bias, unit.epsilon, layer.epsilon)
            for name, value in norm.items():
                tensors[f"{place.norm}.{name}"] = _vector(value, outputs, unit)
        channels = outputs
    return tensors


def normalization(
    norm: Mapping[str, np.ndarray] | None,
    bias: np.ndarray,
    epsilon: float | None,
    wanted: float,
) -> dict[str, np.ndarray]:
    """Returns a batch norm's tensors for another epsilon, with the bias before it in its mean.

    Args:
      norm: those of the file; None if the file has folded it into the convolution, whose bias then is the norm's.
      bias: the convolution's.
      epsilon: the file's; None if nobody knows it, or there is no norm.
      wanted: the model's epsilon.

    Raises:
      WeightFileError: a variance would be below 0.
    """
    ones = np.ones_like(bias)
    if norm is None or "running_var" not in norm:
        scale = ones if norm is None else norm["weight"]
        shift = bias if norm is None else norm["bias"] + scale * bias
        plain = {"weight": scale, "bias": shift, "running_mean": 0 * ones}
        return plain | {"running_var": ones - np.float32(wanted)}
    var = norm["running_var"]
    if epsilon is not None and not math.isclose(epsilon, wanted, rel_tol=1e-5):
        var = var + np.float32(epsilon - wanted)
        if var.size and var.min() < 0:
            raise WeightFileError(
                f"its batch norms add {epsilon:g} to variances, and the model's {wanted:g}: set its option epsilon"
            )
    return {
        "weight": norm.get("weight", ones),
        "bias": norm.get("bias", 0 * ones),
        "running_mean": norm.get("running_mean", 0 * ones) - bias,
        "running_var": var,
    }


def _vector(value: Any, size: int, unit: Unit) -> np.ndarray:
    value = np.asarray(value, np.float32)
    if value.shape != (size,):
        name = shorten(unit.node.name or "a layer", 60)
        raise WeightFileError(
            f"{name} has {size} outputs and a bias or norm of {value.size} values"
        )
    return value


def _channels_first(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Returns a dense layer's weights for features flattened [channels, height, width], not [height, width, channels].

    Args:
      kernel: [outputs, height * width * channels], of a square feature map.
      channels: of the layer before it.
    """
    outputs, inputs = kernel.shape
    side = math.isqrt(inputs // channels)
    if side < 2 or side * side * channels != inputs:
        return kernel
    maps = kernel.reshape(outputs, side, side, channels)
    return np.ascontiguousarray(maps.transpose(0, 3, 1, 2)).reshape(outputs, inputs)
