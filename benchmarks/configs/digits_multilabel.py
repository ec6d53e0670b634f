"""Pictures of one to four digits."""

from ml_collections import ConfigDict

from benchmarks.configs import digits


def get_config() -> ConfigDict:
    """Returns the suite's configuration."""
    config = digits.get_config()
    config.dataset = "digits_multilabel"
    config.task = "multi_label"
    return config
