"""A digit against the rest."""

from ml_collections import ConfigDict

from benchmarks.configs import digits


def get_config(positive_class: str = "3") -> ConfigDict:
    """Returns the suite's configuration; `digits_binary.py:7` is about another digit."""
    config = digits.get_config()
    config.task = "binary"
    config.positive_class = positive_class
    config.positive_weight = "balanced"
    return config
