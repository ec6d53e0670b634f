r"""Photographs on two cores: 100 classes of Tiny-ImageNet at 32x32 (AlexNet at 64x64), 120,000 examples a model.

    python -m benchmarks.tune --config=benchmarks/configs/tiny_imagenet_cpu.py --workdir=runs/tiny_tuning \
        --config.dataset=tiny_imagenet_100:PATH --trials=4 --trial_fraction=0.16
    python -m benchmarks.suite --config=benchmarks/configs/tiny_imagenet_cpu.py --workdir=runs/tiny \
        --config.dataset=tiny_imagenet_100:PATH --config.tuned=runs/tiny_tuning/tuned.json

PATH is the unpacked `tiny-imagenet-200`, or its zip archive (docs/data.md). A twentieth of the training split, 2,500
photographs, is the validation part, on which the learning rates are chosen: four trials for every model, each at 16% of
the budget. The reported split is Tiny-ImageNet's own validation split, 5,000 photographs, which each run evaluates
once, at its end.

Two runs at a time, with a core each, get more done than one after another with two cores: SqueezeNet and MobileNet 40%
more, ResNet-18 25%, VGG-16 nothing. `--launcher=ray --run_devices=1` does that (docs/clusters.md).

`tiny_imagenet_cpu.py:literature` has the networks with which the literature's statements compare them
(docs/results.md): the same commands, in folders of their own. --models names some of either, or others.
"""

from ml_collections import ConfigDict

from benchmarks.config.fields import default_config

_SUITE = (
    "squeezenet1_1",
    "mobilenet_v1",
    "mobilenet_v1:width=0.5",
    "mobilenet_v1:width=0.25",
    "googlenet",
    "resnet50",
    "alexnet",
    "vgg16",
    "vgg19",
)
_LITERATURE = (
    "resnet18",
    "resnet34",
    "plain18",
    "plain34",
    "squeezenet1_0",
    "squeezenet1_0_bypass",
    "mobilenet_v1:width=0.75",
    "mobilenet_v1:depthwise=false",
    "resnet101",
)


def get_config(variant: str = "suite") -> ConfigDict:
    """Returns the configuration of the nine, or with `:literature` of nine more to be ranked with them."""
    if variant not in ("suite", "literature"):
        raise ValueError(f"tiny_imagenet_cpu.py is :suite or :literature, not :{variant}.")
    config = default_config()
    config.suite.models = _SUITE if variant == "suite" else _LITERATURE
    config.dataset = "tiny_imagenet_100"
    config.train_split = "train[:95%]"
    config.validation_split = "train[95%:]"
    config.test_split = "validation"
    config.image_size = "smallest"
    config.augmentation.crop = "random_resized"
    # In two and a half passes no network learns the photographs by heart. In 30,000 examples, crops of at least nine
    # tenths of the area gave ResNet-18 two points more on the validation part than crops of at least half.
    config.augmentation.random_resized.min_area = 0.8
    config.augmentation.changes = ("flip",)

    config.budget.kind = "examples"
    config.budget.amount = 120_000.0
    config.batch_size = 32
    config.validate_every_steps = 1250
    config.log_every_steps = 50

    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 3e-4
    # The first four points are 3e-4, 9.5e-5, 9.5e-4 and 5.3e-5. The networks without batch norm stay at chance where
    # the rate is too high for them: SqueezeNet at 1e-3.
    config.tuning = ConfigDict({"optimizer": {"learning_rate": (3e-5, 3e-3)}})
    return config
