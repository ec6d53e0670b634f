"""Two small architectures ranked by how well what they learned of the digits 0 to 4 serves the digits 5 to 9.

First the features, then the three ways to begin, each a suite of its own at the same budget:

python -m benchmarks.suite --config=benchmarks/configs/digits_transfer.py:pretrain --workdir=runs/low
for way in probe full scratch; do
  config=benchmarks/configs/digits_transfer.py:$way
  python -m benchmarks.tune --config=$config --workdir=runs/tune-$way --trials=8
  python -m benchmarks.suite --config=$config --workdir=runs/$way --config.tuned=runs/tune-$way/tuned.json
done
python -m results.leaderboard runs/probe runs/full runs/scratch --out=runs/transfer

`probe` trains a new head on features that stay as they are, `full` trains everything from there, `scratch` begins
with random weights. Figures and times are in docs/transfer.md.
"""

from ml_collections import ConfigDict

from benchmarks.configs import digits

_PRETRAINED = "runs/low"
_VARIANTS = ("pretrain", "probe", "full", "scratch")


def get_config(variant: str = "probe") -> ConfigDict:
    """Returns the configuration of one of the four suites."""
    if variant not in _VARIANTS:
        raise ValueError(f"digits_transfer.py is one of {', '.join(_VARIANTS)}, not :{variant}.")
    config = digits.get_config()
    config.suite.models = ("squeezenet1_1", "mobilenet_v1:width=0.25")
    config.suite.seeds = (0, 1, 2)
    if variant == "pretrain":
        config.dataset = "digits_low"
        return config
    config.dataset = "digits_high"
    # Only a few steps: after many, it hardly matters which weights a run began with.
    config.budget.amount = 1600.0
    if variant != "scratch":
        config.init_from = _PRETRAINED
    if variant == "probe":
        config.transfer.frozen_stages = "all"
        # The untuned default: a head alone stands a higher rate than a whole network.
        config.optimizer.model_learning_rates = ConfigDict()
        config.optimizer.learning_rate = 1e-2
    return config
