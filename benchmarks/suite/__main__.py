"""The main job: train every model under one budget, several seeds each, and write the leaderboard.

    python -m benchmarks.suite --config=benchmarks/configs/digits.py --workdir=runs/digits

Each run is a process of its own in `WORKDIR/runs/<run id>`, so that a crash takes only itself. The same command goes
on where an earlier one was stopped: completed runs are kept, the others are resumed. `leaderboard.md`, `.csv`,
`.json` and the page `index.html` are made from what the runs left alone. The exit status is 1 if a run failed, and 75
if the suite was told to stop (SIGTERM) and is to be started again.

Workers on machines that share WORKDIR divide the runs: each begins with its own shard (`--shard=i/n`, or what the
environment of a Slurm array or a Kubernetes indexed job says), then takes up what nobody is at, and ends when its
shard is done. No two do the same run (`benchmarks/claims.py`), and a run whose worker died is another's.
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
from benchmarks.launch import local, shards
from benchmarks.machine import preemption, startup
from benchmarks.suite import dry_run
from benchmarks.suite.run import plan, run
from results import leaderboard, records


def _seeds(texts: list[str] | None) -> list[int] | None:
    if texts is None:
        return None
    try:
        return [int(text) for text in texts]
    except ValueError:
        raise ConfigError(
            f"--seeds are whole numbers with commas between them, not {','.join(texts)!r}."
        ) from None


def define_flags() -> None:
    command.define_run_flags("The suite's folder; the same command goes on in it.")
    flags.DEFINE_string(
        "models",
        None,
        "Which models, with commas between them, such as resnet50,mobilenet_v1:width=0.5.",
    )
    flags.DEFINE_list("seeds", None, "Which seeds, such as 0,1,2.")
    flags.DEFINE_string(
        "shard",
        None,
        "i/n, i from 0: the runs that this one of n workers on the same folder begins with. By default what the "
        "environment of a Slurm array or a Kubernetes indexed job (with ISOBUDGET_SHARDS=n) says, else all.",
    )
    flags.DEFINE_bool(
        "dry_run",
        False,
        "Print the plan (runs, steps, examples, training FLOPs, parameters) and write nothing into --workdir.",
    )
    flags.DEFINE_bool(
        "estimate",
        False,
        "With --dry_run: also compile each model and time a few steps of it, to tell seconds on this machine.",
    )


def main() -> int:
    given, config = flags.FLAGS, command.given_config()
    workdir = Path(given.workdir)
    specs = given.models and derived.split_specs(given.models)
    shard = shards.parse(given.shard) if given.shard else shards.from_environment(os.environ)
    if given.estimate and not given.dry_run:
        raise ConfigError("--estimate goes with --dry_run.")
    if given.dry_run:
        return _dry_run(config, workdir, specs, _seeds(given.seeds), given.estimate)
    try:
        made = run(config, workdir, model_specs=specs, seeds=_seeds(given.seeds), shard=shard)
    except local.StoppedError:
        print("told to stop; the same command goes on", file=sys.stderr)
        return preemption.AGAIN_STATUS
    everything, _ = records.load_all([workdir])
    leaderboard.print_table(everything)
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
    command.run(main, define_flags)
