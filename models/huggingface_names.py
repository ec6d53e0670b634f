"""Hugging Face's state dicts (transformers) under torchvision's names: ResNet, MobileNet v1 and v2."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# Blocks in each of MobileNet v1's stages.
_MOBILENET_V1 = (1, 2, 2, 6, 2)
# The authors' networks, as TensorFlow computes them.
_TENSORFLOW = {"padding": "tensorflow", "epsilon": 1e-3}


def to_torchvision(
    model: str, tensors: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns tensors by torchvision's names, and the options of the model that they were trained with.

    Args:
      model: a registered name, without options.
      tensors: a state dict; one that is not of transformers comes back as it is.
    """
    for family, (mark, rename, options) in _FAMILIES.items():
        if model.startswith(family) and any(name.endswith(mark) for name in tensors):
            renamed = {
                rename(name.removeprefix(f"{family}.")): tensor for name, tensor in tensors.items()
            }
            return renamed, dict(options)
    return dict(tensors), {}


def _resnet(name: str) -> str:
    name = name.replace("embedder.embedder.convolution", "conv1")
    name = name.replace("embedder.embedder.normalization", "bn1")
    if match := re.match(r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(.+)", name):
        stage, block, rest = match.groups()
        rest = rest.replace("shortcut.convolution", "downsample.0")
        rest = rest.replace("shortcut.normalization", "downsample.1")
        rest = re.sub(r"^layer\.(\d)\.(convolution|normalization)", _numbered, rest)
        return f"layer{int(stage) + 1}.{block}.{rest}"
    return re.sub(r"^classifier\.1\.", "fc.", name)


def _numbered(match: re.Match[str]) -> str:
    return f"{'conv' if match[2] == 'convolution' else 'bn'}{int(match[1]) + 1}"


def _mobilenet_v1(name: str) -> str:
    name = name.replace("conv_stem.convolution", "conv_stem")
    name = name.replace("conv_stem.normalization", "bn1")
    if match := re.match(r"layer\.(\d+)\.(convolution|normalization)\.(.+)", name):
        block, is_pointwise = divmod(int(match[1]), 2)
        stage = 0
        while stage < len(_MOBILENET_V1) - 1 and block >= _MOBILENET_V1[stage]:
            block -= _MOBILENET_V1[stage]
            stage += 1
        norm, conv = ("bn2", "conv_pw") if is_pointwise else ("bn1", "conv_dw")
        return f"blocks.{stage}.{block}.{conv if match[2] == 'convolution' else norm}.{match[3]}"
    return name


def _mobilenet_v2(name: str) -> str:
    part, _, leaf = name.rpartition(".")
    part, _, kind = part.rpartition(".")
    place = int(kind == "normalization")
    match part.split("."):
        case ["conv_stem", "first_conv"]:
            return f"features.0.{place}.{leaf}"
        case ["conv_stem", "conv_3x3"]:
            return f"features.1.conv.0.{place}.{leaf}"
        case ["conv_stem", "reduce_1x1"]:
            return f"features.1.conv.{1 + place}.{leaf}"
        case ["layer", index, "reduce_1x1"]:
            return f"features.{int(index) + 2}.conv.{2 + place}.{leaf}"
        case ["layer", index, "expand_1x1" | "conv_3x3" as which]:
            return f"features.{int(index) + 2}.conv.{int(which == 'conv_3x3')}.{place}.{leaf}"
        case ["conv_1x1"]:
            return f"features.18.{place}.{leaf}"
    return re.sub(r"^classifier\.", "classifier.1.", name)


_Family = tuple[str, Callable[[str], str], Mapping[str, Any]]
# By the beginning of a model's name: a name that only Hugging Face's has, and what to make of its names.
_FAMILIES: dict[str, _Family] = {
    "resnet": ("embedder.embedder.convolution.weight", _resnet, {}),
    "mobilenet_v1": ("conv_stem.convolution.weight", _mobilenet_v1, _TENSORFLOW),
    "mobilenet_v2": ("conv_stem.first_conv.convolution.weight", _mobilenet_v2, _TENSORFLOW),
}
