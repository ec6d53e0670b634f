"""Pictures of one to four scanned digits each, labelled with those that occur, by the nine models of `digits.py`.

python -m benchmarks.suite --config=benchmarks/configs/digits_multilabel.py --workdir=runs/digits_multilabel

The recipe is that of `digits.py`; docs/tasks.md says what was run of it.
"""

from ml_collections import ConfigDict

from benchmarks.configs import digits


def get_config() -> ConfigDict:
    """Returns the suite's configuration."""
    config = digits.get_config()
    config.dataset = "digits_multilabel"
    config.task = "multi_label"
    return config
