"""Which of a file's tensors belongs where in a model: by Keras's names, or by the structure of a graph."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.classifier import Classifier
from models.registry import create_abstract, info
from models.weight_files import keras_names
from models.weight_files.fill import differences, fill
from models.weight_files.order import Place, Unit, places, units
from models.weight_files.source import Node, Source, WeightFileError, pictures, walk

# A layer that Keras has named by its class and how many of it there were.
_COUNTED = re.compile(r"(conv2d|depthwise_conv2d|batch_normalization|dense)(?:_(\d+))?")


@dataclasses.dataclass(frozen=True)
class Match:
    """The tensors of a file for a model.

    Attributes:
      tensors: by PyTorch's names and in its layout; empty if they do not fit.
      options: the model's.
      differences: in what the file is not the model, a phrase each.
      kernels: the shapes of the file's kernels, in PyTorch's layout.
      preprocessing: what the file says of pictures.
    """

    tensors: Mapping[str, np.ndarray]
    options: Mapping[str, Any]
    differences: Sequence[str]
    kernels: Sequence[tuple[int, ...]]
    preprocessing: Mapping[str, Any]


def match(source: Source, name: str, given: Mapping[str, Any]) -> Match:
    """Returns the tensors for a model of a file whose names are not PyTorch's.

    Args:
      source: what the file holds: Keras's layers, or a graph.
      name: the registered name, without options.
      given: the options that the user asks for.

    Raises:
      WeightFileError: the file cannot belong to the model, whatever its tensors are.
    """
    options = _agreed(source, name, given)
    _check_pools(source, name)
    layers = _keras_layers(source, name) if source.keras else {}
    in_file = [] if source.keras else units(source.outputs)
    preprocessing = keras_names.preprocessing(name) if source.keras else dict(source.preprocessing)
    if in_file:
        preprocessing |= pictures(in_file[0].node)
    attempts = []
    for chosen in _with_and_without_auxiliary(source, name, options, given):
        model = create_abstract(name, **chosen)
        in_model = places(model, info(name).input_size)
        if source.keras:
            phrases, in_file = _keras_units(name, model, in_model, layers, source)
        else:
            phrases = []
        phrases = phrases or differences(in_model, in_file, model.head)
        tensors = {} if phrases else fill(model, in_model, in_file)
        kernels = _keras_kernels(layers) if source.keras else [unit.kernel.shape for unit in in_file]  # fmt: skip
        attempts.append(Match(tensors, chosen, phrases, kernels, preprocessing))
        if not phrases:
            break
    return min(attempts, key=lambda attempt: len(attempt.differences))


def _with_and_without_auxiliary(
    source: Source, name: str, options: Mapping[str, Any], given: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the options to try: files for inference have no auxiliary heads."""
    if "auxiliary" not in info(name).options or "auxiliary" in given:
        return [dict(options)]
    without = dict(options) | {"auxiliary": False}
    return [without] if source.keras else [dict(options), without]


def _agreed(source: Source, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a model's options: those given, and those that the file implies.

    Raises:
      WeightFileError: the two contradict each other, or the model has no such option.
    """
    implied = dict(source.options)
    if source.keras:
        layers = {each.rpartition("/")[0]: None for each in source.state_dicts[""]}
        implied = keras_names.conventions(name, layers) | implied
    known = info(name).options
    for option, value in implied.items():
        if option in given and not _same(given[option], value):
            raise WeightFileError(
                f"its network has {option}={_text(value)}, and {option}={_text(given[option])} is asked for"
            )
        if option not in known and option == "padding" and value != "torch":
            raise WeightFileError(f"its network has padding={value}, and {name} has no such option")
    return {key: value for key, value in implied.items() if key in known} | dict(given)


def _check_pools(source: Source, name: str) -> None:
    """Raises `WeightFileError` for a ResNet whose first pool is not padded, as in Caffe and in TF-slim."""
    if info(name).family != "resnet":
        return
    for node in walk(source.outputs):
        if node.kind == "maximum" and node.padding == ((0, 0), (0, 0)) and node.strides == (2, 2):
            raise WeightFileError(
                f"its first pool is not padded, as in Caffe's ResNets, and that of {name} is"
            )


def _same(some: Any, other: Any) -> bool:
    if isinstance(some, float) and isinstance(other, float):
        return math.isclose(some, other, rel_tol=1e-5)
    return bool(some == other)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _keras_layers(source: Source, name: str) -> dict[str, dict[str, np.ndarray]]:
    """Returns the variables of Keras's layers by the layers' names of today.

    Layers that are called by their class and a number have the lowest number of their class as 0.
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for path, value in source.state_dicts[""].items():
        layer, _, variable = path.rpartition("/")
        layers.setdefault(keras_names.canonical(name, layer), {})[variable] = value
    numbers: dict[str, list[tuple[int, str]]] = {}
    for layer in layers:
        if counted := _COUNTED.fullmatch(layer):
            numbers.setdefault(counted[1], []).append((int(counted[2] or 0), layer))
    renamed = {
        layer: f"{kind}_{number - min(listed)[0]}"
        for kind, listed in numbers.items()
        for number, layer in listed
    }
    return {renamed.get(layer, layer): variables for layer, variables in layers.items()}


def _keras_units(
    name: str,
    model: Classifier,
    in_model: Sequence[Place],
    layers: Mapping[str, Mapping[str, np.ndarray]],
    source: Source,
) -> tuple[list[str], list[Unit]]:
    """Returns (in what Keras's layers are not the model's, the layers in the model's order)."""
    table = keras_names.table(name, model)
    if table is None:
        raise WeightFileError(
            f"Keras Applications has no {name}, so nobody knows its layers' names"
        )
    if name.startswith("resnet") and not name.endswith("_v1"):
        raise WeightFileError(
            f"Keras's ResNets have the stride on a block's first convolution: --model={name}_v1"
        )
    if source.keras == "counted":
        layers = _named(table, layers)
    by_path = {path: layer for layer, path in table}
    extra = [each for each in layers if each not in dict(table)]
    missing = [each for each, _ in table if each not in layers]
    if len(extra) == 1 and missing == [by_path[model.head]]:
        # A last layer of the user's own, on top of Keras's network.
        layers = {missing[0] if each == extra[0] else each: layers[each] for each in layers}
        extra = missing = []
    phrases = [f"{each} (the model lacks it)" for each in extra]
    phrases += [f"{each} (the file lacks it)" for each in missing]
    listed = []
    for place in [] if phrases else in_model:
        variables = dict(layers[by_path[place.layer]])
        if "kernel" not in variables:
            return [f"{by_path[place.layer]}/kernel (the file lacks it)"], []
        kernel = _kernel(variables["kernel"], depthwise=place.groups > 1)
        node = Node("layer", name=by_path[place.layer], channels_last=True)
        unit = Unit(node, kernel, variables.get("bias"))
        if place.norm is not None:
            norm = layers[by_path[place.norm]]
            names = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}  # fmt: skip
            missing = [each for each in ("mean", "variance") if each not in norm]
            if missing:
                return [f"{by_path[place.norm]}/{missing[0]} (the file lacks it)"], []
            unit.norm = {names[each]: value for each, value in norm.items() if each in names}
            implied = keras_names.conventions(name, layers) | dict(source.options)
            unit.epsilon = implied.get("epsilon")
        listed.append(unit)
    return phrases, listed


def _named(
    table: keras_names.Table, layers: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Mapping[str, np.ndarray]]:
    """Returns layers by their own names, of those that are called by their class and a number, in Keras's order."""
    counts: dict[str, int] = {}
    names = {}
    for layer, _ in table:
        kind = keras_names.layer_class(layer)
        names[f"{kind}_{counts.get(kind, 0)}"] = layer
        counts[kind] = counts.get(kind, 0) + 1
    return {names.get(layer, layer): variables for layer, variables in layers.items()}


def _kernel(kernel: np.ndarray, *, depthwise: bool) -> np.ndarray:
    """Returns Keras's kernel, [height, width, inputs, outputs] or [inputs, outputs], in PyTorch's layout."""
    if kernel.ndim == 4:
        return kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    return kernel.transpose()


def _keras_kernels(layers: Mapping[str, Mapping[str, np.ndarray]]) -> list[tuple[int, ...]]:
    return [
        _kernel(each["kernel"], depthwise="depthwise" in layer or layer.startswith("conv_dw")).shape
        for layer, each in layers.items()
        if "kernel" in each
    ]
