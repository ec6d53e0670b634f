"""Nine models of seven architectures on scikit-learn's 1,797 scanned digits: the embedded, default suite.

python -m benchmarks.suite --config=benchmarks/configs/digits.py --workdir=runs/digits

A seed takes 10 to 28 minutes on two cores of an AMD EPYC with an empty compilation cache, depending on what else the
host does. Test top-1 is 94% to 99%: see `results/published/digits`.
"""

from ml_collections import ConfigDict

from benchmarks.config.fields import default_config

# Of 3e-4, 1e-3, 3e-3 and 1e-2, each at half the budget: the best on the validation split (docs/digits.md). Those of
# `_LITERATURE` have the rate of their closest relative.
_LEARNING_RATES = {
    "alexnet": 1e-3,
    "vgg16": 3e-4,
    "vgg19": 3e-4,
    "googlenet": 3e-3,
    "resnet50": 3e-3,
    "squeezenet1_1": 1e-3,
    "mobilenet_v1": 1e-2,
    **dict.fromkeys(("resnet18", "resnet34", "resnet101", "resnet152", "plain18", "plain34"), 3e-3),
    "squeezenet1_0": 1e-3,
}

# With the suite's nine, all the models that `results.claims` needs.
_LITERATURE = (
    "resnet18",
    "resnet34",
    "plain18",
    "plain34",
    "squeezenet1_0",
    "mobilenet_v1:depthwise=false",
    "resnet101",
    "resnet152",
)


def with_sigmoid(specs: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the models in a form that suits a sigmoid, which is never below a half behind SqueezeNet's final ReLU."""
    return tuple(spec.replace("squeezenet1_1", "squeezenet1_1:final_relu=false") for spec in specs)


def get_config(variant: str = "tuned") -> ConfigDict:
    """Returns the suite's configuration.

    `digits.py:untuned` has one learning rate for all models, for tuning; `digits.py:literature` has the other networks
    that the literature's statements name (docs/results.md), to be ranked with the nine.
    """
    if variant not in ("tuned", "untuned", "literature"):
        raise ValueError(f"digits.py is :tuned, :untuned or :literature, not :{variant}.")
    config = default_config()
    config.suite.models = (
        "alexnet",
        "vgg16",
        "vgg19",
        "googlenet",
        "resnet50",
        "squeezenet1_1",
        "mobilenet_v1",
        "mobilenet_v1:width=0.5",
        "mobilenet_v1:width=0.25",
    )
    config.dataset = "digits"
    # Of the training split's pixels.
    config.mean = (0.305, 0.305, 0.305)
    config.std = (0.376, 0.376, 0.376)
    config.image_size = "smallest"
    config.budget.kind = "examples"
    config.budget.amount = 8000.0
    config.batch_size = 32
    config.validate_every_steps = 50

    config.label_smoothing = 0.1
    config.optimizer.name = "adamw"
    config.optimizer.warmup_fraction = 0.3
    # In a few hundred steps, averages as long as the usual 0.9 and 0.999 arrive late.
    config.optimizer.beta1 = 0.8
    config.optimizer.beta2 = 0.99
    config.optimizer.learning_rate = 1e-3
    if variant == "literature":
        config.suite.models = _LITERATURE
    if variant != "untuned":
        config.optimizer.model_learning_rates.update(_LEARNING_RATES)
    config.tuning = ConfigDict({"optimizer": {"learning_rate": (1e-4, 1e-1)}})
    return config
