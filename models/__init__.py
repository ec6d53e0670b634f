"""Architectures: batches of images to logits.

`create` makes a model by name, `names` lists them, `info` tells what is known of one.

A network of your own is a `Classifier`, made of the layers in `models.layers` and `models.windows` or of other Flax NNX
modules; its head is a `models.layers.Linear` or `Conv`, which can be replaced for another number of classes. `register`
it in a module of your own, and wherever that module is imported (`--plugins`) it is a model like those here.
"""

from models import (  # noqa: F401 (they register)
    alexnet,
    googlenet,
    inception_v3,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    squeezenet,
    vgg,
)
from models.classifier import (
    Classifier,
    count_auxiliary_parameters,
    count_parameters,
    count_weight_bytes,
    replace_head,
)
from models.errors import ModelError
from models.layers import Mode
from models.macs import count_activations, count_macs, count_train_macs, variable_paths
from models.model_info import ModelInfo, Paper, Reported
from models.platform import traced_for
from models.registry import (
    check_image_size,
    create,
    create_abstract,
    info,
    label,
    names,
    parse,
    register,
)
from models.stages import auxiliary_paths, head_path, head_paths, stage_variables

__all__ = [
    "Classifier",
    "Mode",
    "ModelError",
    "ModelInfo",
    "Paper",
    "Reported",
    "auxiliary_paths",
    "check_image_size",
    "count_activations",
    "count_auxiliary_parameters",
    "count_macs",
    "count_parameters",
    "count_train_macs",
    "count_weight_bytes",
    "create",
    "create_abstract",
    "head_path",
    "head_paths",
    "info",
    "label",
    "names",
    "parse",
    "register",
    "replace_head",
    "stage_variables",
    "traced_for",
    "variable_paths",
]
