"""Which definition in PyTorch's packages, torchvision and timm, is the same network as a model here.

That they give the same numbers is tested (tests/models/test_parity_torchvision.py, test_parity_timm.py). Nothing here
imports PyTorch.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import models
from benchmarks.errors import ConfigError
from isobudget.wording import quoted
from models.padding import TENSORFLOW, TORCH

# By model, what torchvision has under the same name.
_TORCHVISION = frozenset(
    (
        "alexnet", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "squeezenet1_0", "squeezenet1_1",
        "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    )
)  # fmt: skip
# Our options by torchvision's names, and what the others are in its networks.
_ARGUMENTS = {
    "auxiliary": "aux_logits",
    "auxiliary_dropout": "dropout_aux",
    "dropout": "dropout",
    "transform_input": "transform_input",
    "width": "width_mult",
}
_TORCHVISIONS_OWN = {"final_relu": True, "padding": TORCH}
# Values that are replaced before the first step are not worth waiting for.
_UNINITIALIZED = ("googlenet", "inception_v3")

# By model and width.
_TIMM = {
    ("mobilenet_v1", 1.0): "mobilenetv1_100",
    ("mobilenet_v1", 1.25): "mobilenetv1_125",
    ("mobilenet_v2", 1.0): "mobilenetv2_100",
    ("mobilenet_v2", 1.4): "mobilenetv2_140",
    ("mobilenet_v3_large", 1.0): "mobilenetv3_large_100",
    ("mobilenet_v3_small", 1.0): "mobilenetv3_small_100",
}
_TIMMS_OWN = {"depthwise": True}
_TIMMS_PADDING = {TENSORFLOW: "same", TORCH: ""}


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as one of PyTorch's packages makes it.

    Attributes:
      package: `torchvision` or `timm`.
      name: the network's, there.
      arguments: what it is made with, besides the number of classes.
      epsilon: batch norm's; None for the package's own.
    """

    package: str
    name: str
    arguments: Mapping[str, Any]
    epsilon: float | None = None

    def __str__(self) -> str:
        return f"{self.package} {self.name}"


def find(spec: str) -> Network:
    """Returns PyTorch's definition of a model.

    Raises:
      ConfigError: there is none, or none with these options.
      models.ModelError: there is no such model.
    """
    name, given = models.parse(spec)
    options = {**models.info(name).options, **given}
    network = _in_torchvision(name, options) or _in_timm(name, options)
    if network is None:
        raise ConfigError(
            f"torchvision and timm have no network like {quoted(models.label(name, options))}; of this suite's models, "
            f"with their default options, they have {', '.join(names())}."
        )
    return network


def names() -> tuple[str, ...]:
    """Returns the names of the models that PyTorch's packages have, sorted."""
    return tuple(sorted(_TORCHVISION | {name for name, _ in _TIMM}))


def _in_torchvision(name: str, options: Mapping[str, Any]) -> Network | None:
    others = {option: options[option] for option in options.keys() - _ARGUMENTS - {"epsilon"}}
    if name not in _TORCHVISION or not others.items() <= _TORCHVISIONS_OWN.items():
        return None
    arguments = {_ARGUMENTS[option]: options[option] for option in options if option in _ARGUMENTS}
    if name in _UNINITIALIZED:
        arguments["init_weights"] = False
    return Network("torchvision", name, arguments, options.get("epsilon"))


def _in_timm(name: str, options: Mapping[str, Any]) -> Network | None:
    known = {"width", "dropout", "padding", "epsilon"}
    others = {option: options[option] for option in options.keys() - known}
    timms = _TIMM.get((name, options.get("width", 0.0)))
    if timms is None or not others.items() <= _TIMMS_OWN.items():
        return None
    arguments = {
        "drop_rate": options["dropout"],
        "pad_type": _TIMMS_PADDING[options["padding"]],
    }
    return Network("timm", timms, arguments, options["epsilon"])
