"""Keras Applications' layers by the paths of this suite's, in the order in which Keras writes them.

Names are those of Keras 2.4 and later; `canonical` turns earlier ones into them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from models.classifier import Classifier

# (Keras's layer, path) in Keras's order.
Table = list[tuple[str, str]]


def table(name: str, model: Classifier) -> Table | None:
    """Returns the layers of the model of Keras Applications that a model of this suite is, or None if it has none.

    Args:
      name: the registered name, without options.
      model: of real or of abstract values; its depth says how many blocks there are.
    """
    for prefix, make in _TABLES.items():
        if name.startswith(prefix):
            return list(make(model))
    return None


def conventions(name: str, layers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that Keras Applications' network of this name has, as far as they are not the defaults.

    Args:
      name: the registered name, without options.
      layers: Keras's layers, by name; those of the first ResNets have another epsilon.
    """
    if name.startswith("resnet"):
        return {"epsilon": 1e-3 if any(each.startswith("res2a") for each in layers) else 1.001e-5}
    if name.startswith(("mobilenet", "inception")):
        return {"padding": "tensorflow", "epsilon": 1e-3}
    return {}


def preprocessing(name: str) -> dict[str, Any]:
    """Returns what Keras Applications' `preprocess_input` does to pictures, as values 0..1 are normalized here."""
    if name.startswith(("resnet", "vgg")):
        # Caffe's: blue, green, red, of 0..255, less ImageNet's means.
        mean = tuple(round(each / 255, 6) for each in (103.939, 116.779, 123.68))
        return {"channel_order": "bgr", "mean": mean, "std": (round(1 / 255, 8),) * 3}
    return {"channel_order": "rgb", "mean": (0.5,) * 3, "std": (0.5,) * 3}


def canonical(name: str, layer: str) -> str:
    """Returns the name that Keras gives a layer today, of one that an earlier version wrote.

    Args:
      name: the registered name of the model, without options.
      layer: the layer's name in a file.
    """
    if not name.startswith("resnet"):
        return layer.replace("/BatchNorm", "_bn").replace("/", "_").lower()
    if match := re.fullmatch(r"(res|bn)(\d)([a-z])(\d*)_branch(1|2[abc])", layer):
        kind, stage, letter, number, branch = match.groups()
        place = 0 if branch == "1" else "abc".index(branch[1]) + 1
        block = int(number) + 1 if number else "abcdefghijklmnopqrstuvwxyz".index(letter) + 1
        return f"conv{stage}_block{block}_{place}_{'conv' if kind == 'res' else 'bn'}"
    return _FIRST_RESNETS.get(layer, layer)


_FIRST_RESNETS = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "predictions"}


def layer_class(layer: str) -> str:
    """Returns Keras's class, in snake case, of a layer in a table."""
    if layer.endswith("_bn") or layer.startswith(("batch_normalization", "bn_")):
        return "batch_normalization"
    if "depthwise" in layer or layer.startswith("conv_dw_"):
        return "depthwise_conv2d"
    return "dense" if layer in ("predictions", "fc1", "fc2") else "conv2d"


def _mobilenet_v1(model: Any) -> Iterator[tuple[str, str]]:
    yield from (("conv1", "conv_stem"), ("conv1_bn", "bn1"))
    paths = [
        f"blocks.{stage}.{block}"
        for stage in model.blocks.names
        for block in getattr(model.blocks, stage).names
    ]
    for index, path in enumerate(paths, start=1):
        for kind, norm in (("dw", "bn1"), ("pw", "bn2")):
            yield f"conv_{kind}_{index}", f"{path}.conv_{kind}"
            yield f"conv_{kind}_{index}_bn", f"{path}.{norm}"
    yield "conv_preds", "classifier"


def _mobilenet_v2(model: Any) -> Iterator[tuple[str, str]]:
    yield from (("conv1", "features.0.0"), ("bn_conv1", "features.0.1"))
    last = len(model.features.names) - 1
    for index in range(1, last):
        stack = getattr(model.features, str(index)).conv
        block = "expanded_conv" if index == 1 else f"block_{index - 1}"
        path = f"features.{index}.conv"
        parts = ["expand", "depthwise"][-(len(stack.names) - 2) :]
        for place, part in enumerate(parts):
            yield f"{block}_{part}", f"{path}.{place}.0"
            yield f"{block}_{part}_bn", f"{path}.{place}.1"
        yield f"{block}_project", f"{path}.{len(parts)}"
        yield f"{block}_project_bn", f"{path}.{len(parts) + 1}"
    yield from (("conv_1", f"features.{last}.0"), ("conv_1_bn", f"features.{last}.1"))
    yield "predictions", "classifier.1"


def _mobilenet_v3(model: Any) -> Iterator[tuple[str, str]]:
    yield from (("conv", "features.0.0"), ("conv_bn", "features.0.1"))
    last = len(model.features.names) - 1
    for index in range(1, last):
        stack = getattr(model.features, str(index)).block
        block = "expanded_conv" if index == 1 else f"expanded_conv_{index - 1}"
        squeezed = [place for place in stack.names if hasattr(getattr(stack, place), "fc1")]
        places = [place for place in stack.names if place not in squeezed]
        for part, place in zip(
            ["expand", "depthwise", "project"][-len(places) :], places, strict=True
        ):
            if part == "project" and squeezed:
                path = f"features.{index}.block.{squeezed[0]}"
                yield f"{block}_squeeze_excite_conv", f"{path}.fc1"
                yield f"{block}_squeeze_excite_conv_1", f"{path}.fc2"
            yield f"{block}_{part}", f"features.{index}.block.{place}.0"
            yield f"{block}_{part}_bn", f"features.{index}.block.{place}.1"
    yield from (("conv_1", f"features.{last}.0"), ("conv_1_bn", f"features.{last}.1"))
    yield from (("conv_2", "classifier.0"), ("logits", "classifier.3"))


def _resnet(model: Any) -> Iterator[tuple[str, str]]:
    yield from (("conv1_conv", "conv1"), ("conv1_bn", "bn1"))
    for stage in range(1, 5):
        for place in getattr(model, f"layer{stage}").names:
            block, path = f"conv{stage + 1}_block{int(place) + 1}", f"layer{stage}.{place}"
            for index in (1, 2):
                yield f"{block}_{index}_conv", f"{path}.conv{index}"
                yield f"{block}_{index}_bn", f"{path}.bn{index}"
            projected = getattr(getattr(model, f"layer{stage}"), place).downsample is not None
            for kind, index in (("conv", 0), ("bn", 1)):
                if projected:
                    yield f"{block}_0_{kind}", f"{path}.downsample.{index}"
                yield f"{block}_3_{kind}", f"{path}.{kind}3"
    yield "predictions", "fc"


def _vgg(model: Any) -> Iterator[tuple[str, str]]:
    start = 0
    for block, end in enumerate(model.stage_ends, start=1):
        names = model.features.names[start:end]
        layers = [name for name in names if hasattr(getattr(model.features, name), "kernel")]
        for index, layer in enumerate(layers, start=1):
            yield f"block{block}_conv{index}", f"features.{layer}"
        start = end
    yield from (("fc1", "classifier.0"), ("fc2", "classifier.3"), ("predictions", "classifier.6"))


# The convolutions of each of Inception's modules in the order in which Keras makes and numbers them, and in the order
# in which it writes them: the deepest first.
_INCEPTION = {
    "A": ("branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool",
          (3, 1, 4, 0, 2, 5, 6)),
    "B": ("branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", (1, 2, 0, 3)),
    "C": ("branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3"
          " branch7x7dbl_4 branch7x7dbl_5 branch_pool", (4, 5, 1, 6, 2, 7, 0, 3, 8, 9)),
    "D": ("branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4", (2, 3, 0, 4, 1, 5)),
    "E": ("branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a"
          " branch3x3dbl_3b branch_pool", (4, 1, 5, 2, 3, 6, 7, 0, 8)),
}  # fmt: skip
_INCEPTION_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")  # fmt: skip
_INCEPTION_MODULES = {
    "5b": "A", "5c": "A", "5d": "A", "6a": "B", "6b": "C", "6c": "C", "6d": "C", "6e": "C", "7a": "D", "7b": "E",
    "7c": "E",
}  # fmt: skip


def _inception_v3(model: Any) -> Iterator[tuple[str, str]]:
    written = [(index, path) for index, path in enumerate(_INCEPTION_STEM)]
    for module, kind in _INCEPTION_MODULES.items():
        names, order = _INCEPTION[kind]
        first, branches = len(written), names.split()
        written += [(first + place, f"Mixed_{module}.{branches[place]}") for place in order]
    for index, path in written:
        yield f"conv2d_{index}", f"{path}.conv"
        yield f"batch_normalization_{index}", f"{path}.bn"
    yield "predictions", "fc"


_TABLES: dict[str, Callable[[Any], Iterator[tuple[str, str]]]] = {
    "mobilenet_v1": _mobilenet_v1,
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v3": _mobilenet_v3,
    "resnet": _resnet,
    "vgg": _vgg,
    "inception_v3": _inception_v3,
}
