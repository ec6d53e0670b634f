"""Every model with every seed under one budget, and the tables made of what they leave."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from benchmarks import tasks
from benchmarks.config import derived, resolve, stored
from benchmarks.errors import ConfigError
from benchmarks.launch import local, locks, shards
from benchmarks.launch.display import Display
from benchmarks.runs import validation
from benchmarks.runs.folder import claim_directory
from benchmarks.runs.plan import Run, prepare
from results import leaderboard, records
from results.records import evaluations


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
    shared = stored.to_plain(config)
    for own in ("model", "seed"):
        shared.pop(own, None)
    claim_directory(workdir, "suite.json", shared)
    mine, others = (shard or shards.Shard(0, 1)).divide(planned)
    with Display(len(mine)) as display, local.stopped_by_sigterm():
        made = local.work(mine, others, locks.now(workdir), display)
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
) -> list[Run]:
    """Returns the runs, all models of the first seed first, after checking each.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    if not model_specs or not seeds:
        raise ConfigError("a suite needs at least one model and one seed.")
    # The data is looked at last: preparing it writes, and every other mistake should show before.
    configs = [resolve.for_run(config, spec, seed) for seed in seeds for spec in model_specs]
    for each in configs:
        validation.validate(each)
    dataset = tasks.load_dataset(config)
    prepared = {}
    for each in configs:
        directory = workdir / "runs" / derived.run_id(each)
        prepared[directory] = prepare(each, directory, dataset)
    return list(prepared.values())
