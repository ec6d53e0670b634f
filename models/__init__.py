"""Architectures: batches of images to logits.

`create` makes a model by name, `names` lists them, `info` tells what is known of one.
"""

from models import alexnet, googlenet, mobilenet_v1, resnet, squeezenet, vgg  # noqa: F401 (they register)
from models.layers import Classifier, Mode
from models.macs import count_macs
from models.registry import (
    ModelError,
    ModelInfo,
    check_image_size,
    count_auxiliary_parameters,
    count_parameters,
    create,
    create_abstract,
    info,
    label,
    names,
    parse,
)

__all__ = [
    "Classifier",
    "Mode",
    "ModelError",
    "ModelInfo",
    "check_image_size",
    "count_auxiliary_parameters",
    "count_macs",
    "count_parameters",
    "create",
    "create_abstract",
    "info",
    "label",
    "names",
    "parse",
]
