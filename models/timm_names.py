"""timm's state dicts under torchvision's names, where the two libraries name the same network's tensors differently.

timm's ResNets, Inception v3 and MobileNet v1 (which torchvision lacks) have the names used here already.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_VGG = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}  # fmt: skip
_STEM = {"conv_stem": "features.0.0", "bn1": "features.0.1"}
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)")

# The parts of a block with an expansion and of one without, in order, each a convolution and its batch norm.
# Squeeze-and-excite comes before the last.
_EXPANDED = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))
_UNEXPANDED = (("conv_dw", "bn1"), ("conv_pw", "bn2"))


def to_torchvision(
    model: str, tensors: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns tensors by torchvision's names, and the options of the model that timm trained them with.

    Args:
      model: a registered name, without options.
      tensors: a state dict of either library; torchvision's comes back as it is.
    """
    options: dict[str, Any] = {}
    if model.startswith("vgg") and "pre_logits.fc1.weight" in tensors:
        names = {name: _renamed(name, _VGG) for name in tensors}
    elif model == "mobilenet_v2" and "conv_stem.weight" in tensors:
        names = _mobilenet_v2(tensors)
    elif model.startswith("mobilenet_v3") and "conv_stem.weight" in tensors:
        # timm trained with PyTorch's default, torchvision with the authors' value.
        names, options = _mobilenet_v3(tensors), {"epsilon": 1e-5}
    else:
        return dict(tensors), options
    return {names[name]: _dense(names[name], tensor) for name, tensor in tensors.items()}, options


def _mobilenet_v2(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    blocks = _blocks(tensors)
    last = f"features.{len(blocks) + 1}"
    parts = _STEM | {"conv_head": f"{last}.0", "bn2": f"{last}.1", "classifier": "classifier.1"}
    for index, (block, inside) in enumerate(blocks.items(), start=1):
        *activated, linear = _EXPANDED if "conv_pwl" in inside else _UNEXPANDED
        for place, (convolution, norm) in enumerate(activated):
            parts[f"{block}.{convolution}"] = f"features.{index}.conv.{place}.0"
            parts[f"{block}.{norm}"] = f"features.{index}.conv.{place}.1"
        parts[f"{block}.{linear[0]}"] = f"features.{index}.conv.{len(activated)}"
        parts[f"{block}.{linear[1]}"] = f"features.{index}.conv.{len(activated) + 1}"
    return {name: _renamed(name, parts) for name in tensors}


def _mobilenet_v3(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    parts = _STEM | {"conv_head": "classifier.0", "classifier": "classifier.3"}
    for index, (block, inside) in enumerate(_blocks(tensors).items(), start=1):
        if "conv" in inside:
            parts |= {f"{block}.conv": f"features.{index}.0", f"{block}.bn1": f"features.{index}.1"}
            continue
        *rest, linear = _EXPANDED if "conv_pwl" in inside else _UNEXPANDED
        pairs = [*rest, ("se.conv_reduce", "se.conv_expand"), linear]
        if "se" not in inside:
            del pairs[-2]
        for place, (first, second) in enumerate(pairs):
            ends = ("fc1", "fc2") if first.startswith("se.") else ("0", "1")
            parts[f"{block}.{first}"] = f"features.{index}.block.{place}.{ends[0]}"
            parts[f"{block}.{second}"] = f"features.{index}.block.{place}.{ends[1]}"
    return {name: _renamed(name, parts) for name in tensors}


def _blocks(tensors: Mapping[str, np.ndarray]) -> dict[str, set[str]]:
    """Returns the names of each block's attributes, by the block's path, in order."""
    attributes: dict[tuple[int, int], set[str]] = {}
    for name in tensors:
        if match := _BLOCK.match(name):
            place = int(match[1]), int(match[2])
            attributes.setdefault(place, set()).add(match[3].split(".")[0])
    return {f"blocks.{stage}.{i}": attributes[stage, i] for stage, i in sorted(attributes)}


def _renamed(name: str, parts: Mapping[str, str]) -> str:
    path, _, leaf = name.rpartition(".")
    return f"{parts[path]}.{leaf}" if path in parts else name


def _dense(name: str, tensor: np.ndarray) -> np.ndarray:
    """Returns a dense layer's weights as a matrix: timm has some as convolutions over the whole feature map."""
    if name.startswith("classifier.") and tensor.ndim == 4:
        return tensor.reshape(tensor.shape[0], -1)
    return tensor
