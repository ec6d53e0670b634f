"""Ten architectures on 1,797 scanned digits: the default, embedded suite."""

from ml_collections import ConfigDict

from benchmarks.config import default_config


def get_config() -> ConfigDict:
    config = default_config()
    config.dataset = "digits"
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
    return config
