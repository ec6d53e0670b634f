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

from benchmarks import claims, commands, preemption, runs, shards, tasks, validation, worker
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from benchmarks.suite_display import Display
from results import evaluations, leaderboard, records


def run(
    config: ConfigDict,
    workdir: str | Path,
    *,
    model_specs: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    shard: shards.Shard | None = None,
) -> list[records.RunRecord]:
    """Trains every model with every seed, writes the leaderboard, and returns the records, failed runs included.

    Args:
      config: what the runs share, see `benchmarks/config.py`.
      workdir: gets `runs/<run id>/record.json`, `leaderboard.md`, `.csv`, `.json` and `index.html`.
      model_specs: `config.suite.models` unless given.
      seeds: `config.suite.seeds` unless given.
      shard: which runs this worker begins with; all unless given. The records are of these, and of the other runs
        that it took up.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
      worker.StoppedError: on SIGTERM.
    """
    workdir = Path(workdir)
    planned = plan(config, workdir, model_specs or config.suite.models, seeds or config.suite.seeds)
    shared = config_lib.to_plain(config)
    for own in ("model", "seed"):
        shared.pop(own, None)
    commands.claim_directory(workdir, "suite.json", shared)
    mine, others = (shard or shards.Shard(0, 1)).split(planned)
    with Display(len(mine)) as display, worker.stopped_by_sigterm():
        made = worker.work(mine, others, claims.now(workdir), display)
    _write_tables(workdir)
    return [made[each.workdir] for each in planned if each.workdir in made]


def _write_tables(workdir: Path) -> None:
    """Writes the tables, and again where records came meanwhile, so that the last worker's hold all."""
    written = None
    while True:
        everything, folders, _ = records.load_with_folders([workdir])
        found = [(record.run_id, record.finished_at) for record in everything]
        if found == written or not found:
            return
        evaluated, _ = evaluations.load_all([workdir], everything)
        leaderboard.write_tables(everything, workdir, evaluated, folders)
        written = found


def plan(
    config: ConfigDict, workdir: Path, model_specs: Sequence[str], seeds: Sequence[int]
) -> list[runs.Run]:
    """Returns the runs, all models of the first seed first, after checking each.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    if not model_specs or not seeds:
        raise ConfigError("a suite needs at least one model and one seed.")
    # The data is looked at last: preparing it writes, and every other mistake should show before.
    configs = [config_lib.for_run(config, spec, seed) for seed in seeds for spec in model_specs]
    for each in configs:
        validation.validate(each)
    dataset = tasks.load_dataset(config)
    prepared = {}
    for each in configs:
        directory = workdir / "runs" / config_lib.run_id(each)
        prepared[directory] = runs.prepare(each, directory, dataset)
    return list(prepared.values())


def _seeds(texts: list[str] | None) -> list[int] | None:
    try:
        return None if texts is None else [int(text) for text in texts]
    except ValueError:
        raise ConfigError(
            f"--seeds are whole numbers with commas between them, not {','.join(texts)!r}."
        ) from None


def define_flags() -> None:
    commands.define_run_flags("The suite's folder; the same command goes on in it.")
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
    given, config = flags.FLAGS, commands.given_config()
    workdir = Path(given.workdir)
    specs = given.models and config_lib.split_specs(given.models)
    shard = shards.parse(given.shard) if given.shard else shards.from_environment(os.environ)
    if given.estimate and not given.dry_run:
        raise ConfigError("--estimate goes with --dry_run.")
    if given.dry_run:
        return _dry_run(config, workdir, specs, _seeds(given.seeds), given.estimate)
    try:
        made = run(config, workdir, model_specs=specs, seeds=_seeds(given.seeds), shard=shard)
    except worker.StoppedError:
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
    from benchmarks import dry_run

    if estimate:
        commands.restart_with_allocator()
        commands.use_compilation_cache()
    planned = plan(config, workdir, model_specs or config.suite.models, seeds or config.suite.seeds)
    dry_run.show(planned, estimate)
    return 0


if __name__ == "__main__":
    commands.run(main, define_flags)
