"""Every model with every seed under one budget, and the tables made from their records."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

import models
from benchmarks.config import derived, resolve, stored
from benchmarks.errors import ConfigError, storage_errors_told
from benchmarks.inference.predict import split_batches
from benchmarks.launch import folder_lock, shards
from benchmarks.launch.display import Display
from benchmarks.launch.launcher import Launcher, launch
from benchmarks.launch.local import LocalLauncher
from benchmarks.runs import caching
from benchmarks.runs.claim import check_suite, claim_suite, open_suite
from benchmarks.runs.plan import Run, prepare_all, train_batches
from results import leaderboard, records
from results.records import evaluations


def run(
    config: ConfigDict,
    workdir: str | Path,
    *,
    model_specs: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    shard: shards.Shard | None = None,
    launcher: Launcher | None = None,
) -> list[records.RunRecord]:
    """Trains every model with every seed, writes the leaderboard, and returns the records, failed runs included.

    Args:
      config: what the runs share, see `benchmarks/config/fields.py`.
      workdir: gets `runs/<run id>/record.json`, `leaderboard.md`, `.csv`, `.json` and `index.html`.
      model_specs: by default `config.suite.models`.
      seeds: by default `config.suite.seeds`.
      shard: the part of the runs to do; by default all. The records are those of this part.
      launcher: how the runs get done; by default one after another on this machine.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
      StorageError: there is no room left to write to; the same command goes on once there is.
      HostBusyError: a budget of seconds would share its host with another run.
      StoppedError: on SIGTERM.
    """
    workdir = Path(workdir)
    planned = plan(config, workdir, model_specs or config.suite.models, seeds or config.suite.seeds)
    shared = stored.to_plain(config)
    for own in ("model", "seed"):
        shared.pop(own, None)
    open_suite(workdir, shared)
    mine = (shard or shards.Shard()).of(planned)
    with (
        storage_errors_told(workdir),
        folder_lock.held(workdir, shard),
        launcher or LocalLauncher() as launcher,
    ):
        launcher.check(mine, workdir)
        claim_suite(workdir, shared)
        with Display(len(mine)) as display:
            tables = _Tables(workdir, display)
            made = launch(
                mine,
                launcher,
                display,
                when_one_ends=tables.write_if_cheap,
                before_one_begins=lambda: check_suite(workdir, shared),
            )
        tables.write()
    return [made[each.workdir] for each in mine]


class _Tables:
    """The suite's tables and its page, made from the records that there are."""

    # Of the time: with thousands of runs, reading all their records takes longer than many a run.
    _LARGEST_SHARE = 0.1

    def __init__(self, workdir: Path, display: Display):
        self._workdir, self._display = workdir, display
        self._due = 0.0

    def write_if_cheap(self) -> None:
        """Writes them, unless they were written so lately that it would take more than a tenth of the time."""
        began = time.monotonic()
        if began >= self._due:
            self.write()
            ended = time.monotonic()
            self._due = ended + (ended - began) / self._LARGEST_SHARE

    def write(self) -> None:
        """Writes them, and again if records came meanwhile, so that those of the last shard to end are complete."""
        written = None
        while True:
            everything, folders, _ = records.load_with_folders([self._workdir])
            ended = [(record.run_id, record.finished_at) for record in everything]
            if ended == written or not ended:
                return
            evaluated, _ = evaluations.load_all([self._workdir], everything)
            leaderboard.write_tables(everything, self._workdir, evaluated, folders)
            self._display.show(everything)
            written = ended


def plan(
    config: ConfigDict, workdir: Path, model_specs: Sequence[str], seeds: Sequence[int]
) -> list[Run]:
    """Returns the runs, after checking each: all models with the first seed come first, and cheaper models earlier.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    if not model_specs or not seeds:
        raise ConfigError("a suite needs at least one model and one seed.")
    configs = resolve.for_runs(config, model_specs, seeds)
    by_folder = {workdir / "runs" / derived.run_id(each): each for each in configs}
    runs = prepare_all([(each, folder) for folder, each in by_folder.items()])
    _check_data(runs[0])
    one_of_each = {each.setup.model: each for each in runs}
    costs = {model: _cost(run) for model, run in one_of_each.items()}
    places = {seed: place for place, seed in enumerate(seeds)}
    return sorted(runs, key=lambda run: (places[run.config.seed], costs[run.setup.model]))


def _check_data(run: Run) -> None:
    """Opens each split and reads its first batch, so that files which are missing here are told before any run begins.

    The runs of a suite share their splits. Each shard on a machine of its own checks what that machine can read.

    Raises:
      DataError: a split has no such file, or too much of its first batch cannot be read.
      ConfigError: the pictures are to be kept on the devices, and differ in size.
    """
    caching.check(run)
    config = run.config.copy_and_resolve_references()
    config.num_workers = 0  # for a batch, processes are not worth starting
    setup = dataclasses.replace(run.setup, config=config)
    opened = [train_batches(dataclasses.replace(run, setup=setup), 0, 1, setup.train_sizes[0])]
    for split in filter(None, (config.validation_split, config.test_split)):
        opened.append(split_batches(setup, run.dataset, split))
    for batches in opened:
        with contextlib.closing(batches):
            next(batches)


def _cost(run: Run) -> float:
    """Returns the multiply-accumulates of the run's model for one image; of one that cannot be traced, infinity."""
    try:
        model = models.create_abstract(run.config.model, run.setup.num_logits)
        return models.count_macs(model, run.setup.image_size)
    except Exception:  # whatever somebody's network raises: its run will be the row that says so
        return math.inf
