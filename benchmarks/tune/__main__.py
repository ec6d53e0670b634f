r"""Tunes every model equally: the same points of one search space are tried for each, on the validation split.

    python -m benchmarks.tune --config=benchmarks/configs/digits.py --workdir=runs/tuning --trials=8
    python -m benchmarks.suite --config=benchmarks/configs/digits.py --workdir=runs/tuned \
        --config.tuned=runs/tuning/tuned.json

`config.tuning` says which fields are searched, and in which ranges. Each trial is a run of its own, in
`WORKDIR/trials/<model>/<trial>`, that never opens the test split. The same command goes on where an earlier one was
stopped, and a larger --trials adds to the trials. `--launcher=ray` does as many trials at once as the devices of this
machine, or of a cluster that shares WORKDIR, allow (docs/clusters.md). `tuned.json` holds the best values for each
model. The exit status is 1 if no trial of a model completed, and 75 if the command was told to stop (SIGTERM).
"""

import math
import sys
from pathlib import Path

from absl import flags

import models
from benchmarks.cli import command
from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.launch import options
from benchmarks.launch.stopping import StoppedError
from benchmarks.machine import preemption
from benchmarks.tune.run import run
from benchmarks.tune.search import Allowance
from isobudget.wording import exact
from results.records import tasks as ranked_tasks


def define_flags() -> None:
    command.define_run_flags(
        "The folder for the trials and tuned.json. The same command resumes an earlier one in it."
    )
    flags.DEFINE_integer(
        "trials", None, "How many points of the search space to try for each model.", lower_bound=1
    )
    flags.mark_flag_as_required("trials")
    flags.DEFINE_string(
        "models",
        None,
        "The models to tune, with commas between them, such as resnet50,mobilenet_v1:width=0.5. By default those of "
        "the configuration.",
    )
    flags.DEFINE_float(
        "trial_fraction",
        1.0,
        "The budget of each trial, as a fraction of the budget of a whole run.",
    )
    flags.DEFINE_bool(
        "halving",
        False,
        "Train all points for a shorter time, then the better half for longer, and so on (successive halving). The "
        "total budget stays the same.",
    )
    options.define_flags()


def main() -> int:
    given, config = flags.FLAGS, command.given_config()
    if not (math.isfinite(given.trial_fraction) and given.trial_fraction > 0):
        raise ConfigError(f"--trial_fraction is a number above 0, not {given.trial_fraction}.")
    specs = config.suite.models if given.models is None else derived.split_specs(given.models)
    try:
        tuned = run(
            config,
            given.workdir,
            Allowance(given.trials, given.trial_fraction, given.halving),
            model_specs=specs,
            launcher=options.chosen(),
        )
    except StoppedError:
        print("told to stop; run the same command again to go on", file=sys.stderr)
        return preemption.AGAIN_STATUS
    labels = [models.label(*models.parse(spec)) for spec in specs]
    for label in labels:
        entry = tuned["models"].get(label)
        outcome = "no trial completed"
        if entry:
            values = ", ".join(f"{field}={exact(value)}" for field, value in entry["best"].items())
            task = ranked_tasks.find(given.config.task)
            outcome = f"{values} (validation {task.spoken} {entry['validation'][task.primary]:.2%})"
        print(f"{label}: {outcome}")
    print(f"Use them: --config.tuned={Path(given.workdir) / 'tuned.json'}")
    return int(any(label not in tuned["models"] for label in labels))


if __name__ == "__main__":
    command.run(main, define_flags, resumes=True)
