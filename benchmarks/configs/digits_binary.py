"""One of the scanned digits against the rest, by the nine models of `digits.py`.

python -m benchmarks.suite --config=benchmarks/configs/digits_binary.py --workdir=runs/digits_binary

A tenth of the pictures are of the digit (3, or `digits_binary.py:7` for another), so a positive weighs nine times as
much. The recipe is that of `digits.py`, at half its budget; docs/tasks.md says how much of it was run.
"""

from ml_collections import ConfigDict

from benchmarks.configs import digits


def get_config(positive_class: str = "3") -> ConfigDict:
    """Returns the suite's configuration for this digit against the rest."""
    if positive_class not in set("0123456789"):
        raise ValueError(f"digits_binary.py is :0 to :9, not :{positive_class}.")
    config = digits.get_config()
    config.suite.models = digits.with_sigmoid(config.suite.models)
    config.task = "binary"
    config.positive_class = positive_class
    config.positive_weight = "balanced"
    config.budget.amount = 4000.0
    return config
