"""Trains every model under one budget, with several seeds each, and writes the leaderboard.

    python -m benchmarks.suite --config=benchmarks/configs/digits.py --workdir=runs/digits

Each run is a process of its own in `WORKDIR/runs/<run id>`, so that a crash ends no other run. The same command goes on
where an earlier one was stopped: completed runs are kept, and the others are resumed. `leaderboard.md`, `.csv`, `.json`
and the page `index.html` are made from the runs' records alone. The exit status is 1 if a run failed, and 75 if the
suite was told to stop (SIGTERM) and should be started again.

By default one run follows another. `--launcher=ray` does as many at once as the devices of this machine, or of a
cluster that shares WORKDIR, allow (docs/clusters.md). `--shard=i/n` does every n-th run alone, for commands that are
started side by side; so does what the environment of a Slurm array or a Kubernetes indexed job says.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from benchmarks.cli import command
from benchmarks.config import derived
from benchmarks.errors import ConfigError
from benchmarks.launch import options, shards
from benchmarks.launch.stopping import StoppedError
from benchmarks.machine import preemption, startup
from benchmarks.suite import dry_run
from benchmarks.suite.run import plan, run
from isobudget.wording import quoted
from results import leaderboard, records


def _seeds(texts: list[str] | None) -> list[int] | None:
    if texts is None:
        return None
    try:
        return [int(text) for text in texts or ("",)]
    except ValueError:
        raise ConfigError(
            f"--seeds are whole numbers with commas between them, not {quoted(','.join(texts))}."
        ) from None


def define_flags() -> None:
    command.define_run_flags(
        "The folder for the suite's runs, tables and page. The same command resumes an earlier one in it."
    )
    flags.DEFINE_string(
        "models",
        None,
        "The models to train, with commas between them, such as resnet50,mobilenet_v1:width=0.5. By default those of "
        "the configuration.",
    )
    flags.DEFINE_list(
        "seeds",
        None,
        "The seeds to train each model with, such as 0,1,2. By default those of the configuration.",
    )
    flags.DEFINE_string(
        "shard",
        None,
        "The part of the runs to do, as i/n: every n-th run, from run i (counted from 0) on. By default what the "
        "environment of a Slurm array or a Kubernetes indexed job (with ISOBUDGET_SHARDS=n) says, otherwise all runs.",
    )
    options.define_flags()
    flags.DEFINE_bool(
        "dry_run",
        False,
        "Print the plan (runs, steps, examples, training FLOPs, parameters) and write nothing to --workdir.",
    )
    flags.DEFINE_bool(
        "estimate",
        False,
        "Also compile each model and time a few of its steps, to estimate the seconds on this machine. It goes with "
        "--dry_run.",
    )


def main() -> int:
    given, config = flags.FLAGS, command.given_config()
    workdir = Path(given.workdir)
    specs = None if given.models is None else derived.split_specs(given.models)
    shard = shards.parse(given.shard) if given.shard else shards.from_environment(os.environ)
    launcher = options.chosen()
    if given.estimate and not given.dry_run:
        raise ConfigError("--estimate goes with --dry_run.")
    if given.dry_run:
        return _dry_run(config, workdir, specs, _seeds(given.seeds), given.estimate)
    try:
        made = run(
            config,
            workdir,
            model_specs=specs,
            seeds=_seeds(given.seeds),
            shard=shard,
            launcher=launcher,
        )
    except StoppedError:
        print("told to stop; run the same command again to go on", file=sys.stderr)
        return preemption.AGAIN_STATUS
    everything, folders, _ = records.load_with_folders([workdir])
    leaderboard.print_table(everything, folders=folders)
    print(f"Tables: {workdir / 'leaderboard.md'}, .csv and .json; page: {workdir / 'index.html'}")
    return int(any(record.status != "completed" for record in made))


def _dry_run(
    config: ConfigDict,
    workdir: Path,
    model_specs: Sequence[str] | None,
    seeds: Sequence[int] | None,
    estimate: bool,
) -> int:
    if estimate:
        startup.restart_with_allocator()
        startup.use_compilation_cache()
    planned = plan(config, workdir, model_specs or config.suite.models, seeds or config.suite.seeds)
    dry_run.show(planned, estimate)
    return 0


if __name__ == "__main__":
    command.run(main, define_flags, resumes=True)
