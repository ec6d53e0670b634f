"""Trying the same points for every model, and keeping the best values of each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from benchmarks.config import derived, resolve, stored, tuned
from benchmarks.errors import ConfigError, storage_errors_told
from benchmarks.launch import folder_lock
from benchmarks.launch.display import Display
from benchmarks.launch.launcher import Launcher, launch
from benchmarks.launch.local import LocalLauncher
from benchmarks.runs.folder import claim_directory
from benchmarks.runs.plan import Run, prepare_all
from benchmarks.tune.points import points
from benchmarks.tune.search import Allowance, Rung, Search
from input_pipeline import datasets
from results.records import SCHEMA_VERSION, files

_TUNED_FILE = "tuned.json"


def run(
    config: ConfigDict,
    workdir: str | Path,
    allowance: Allowance,
    *,
    model_specs: Sequence[str] | None = None,
    launcher: Launcher | None = None,
) -> dict[str, Any]:
    """Returns the content of `tuned.json`, after trying the same points for every model.

    Args:
      config: what the trials share, see `benchmarks/config/fields.py`; only the first of its seeds is used.
      workdir: gets `trials/<model>/<trial>/record.json` and `tuned.json`.
      allowance: what each model may spend.
      model_specs: by default `config.suite.models`.
      launcher: how the trials get done; by default one after another on this machine.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
      StorageError: there is no room left to write to; the same command goes on once there is.
      HostBusyError: a budget of seconds would share its host with another run.
      StoppedError: on SIGTERM.
    """
    workdir = Path(workdir)
    searches = _searches(config, workdir, allowance, model_specs or config.suite.models)
    rungs = allowance.rungs()
    first = _check(searches, rungs, allowance)
    claim_directory(workdir, "tune.json", _shared(config, allowance))
    total = sum(rung.trials for rung in rungs) * len(searches)
    with (
        storage_errors_told(workdir),
        folder_lock.held(workdir),
        launcher or LocalLauncher() as launcher,
    ):
        launcher.check(first, workdir)
        with Display(total) as display:
            for rung in rungs:
                wanted = {
                    search: search.trials(search.best(rung.trials), rung, allowance.halving)
                    for search in searches
                }
                requests = [request for each in wanted.values() for request in each.values()]
                made = launch(prepare_all(requests, first[0].dataset), launcher, display)
                for search, each in wanted.items():
                    search.judge({index: made[folder] for index, (_, folder) in each.items()})
    content = _tuned(config, workdir, allowance, searches)
    with storage_errors_told(workdir):
        files.write_atomically(workdir / _TUNED_FILE, json.dumps(content, indent=2) + "\n")
    return content


def _searches(
    config: ConfigDict, workdir: Path, allowance: Allowance, model_specs: Sequence[str]
) -> list[Search]:
    if not tuned.space(config):
        raise ConfigError(
            "config.tuning names no field to search, such as optimizer.learning_rate."
        )
    if not config.validation_split or config.validation_split == config.test_split:
        raise ConfigError("tuning needs a config.validation_split that is not the test split.")
    tuned.validate(config)  # before points are drawn from its ranges
    config = config.copy_and_resolve_references()
    config.tuned = config.test_split = ""
    seed = config.suite.seeds[0]
    shared = [resolve.for_run(config, spec, seed) for spec in dict.fromkeys(model_specs)]
    tried = points(config, allowance.trials)
    return [
        Search(each, workdir / "trials" / derived.folder_name(each.model), tried) for each in shared
    ]


def _check(searches: list[Search], rungs: list[Rung], allowance: Allowance) -> list[Run]:
    """Returns a trial of each model in each rung, after checking for every mistake that would show in a later one."""
    first = [
        request
        for search in searches
        for rung in rungs
        for request in search.trials([0], rung, allowance.halving).values()
    ]
    return prepare_all(first)


def _shared(config: ConfigDict, allowance: Allowance) -> dict[str, Any]:
    """Returns what two commands on one folder must share; without halving, the number of trials may differ."""
    shared = stored.to_plain(config)
    shared.pop("model", None)
    shared |= {"trial_fraction": allowance.trial_fraction, "halving": allowance.halving}
    return shared | ({"trials": allowance.trials} if allowance.halving else {})


def _tuned(
    config: ConfigDict, workdir: Path, allowance: Allowance, searches: list[Search]
) -> dict[str, Any]:
    """Returns the content of `tuned.json`, models of earlier commands in the same folder included."""
    path = workdir / _TUNED_FILE
    best = tuned.read(path)["models"] if path.exists() else {}
    for search in searches:
        (index,) = search.best(1)
        record = search.records[index]
        best.pop(search.label, None)
        if record.status == "completed":
            best[search.label] = {
                "best": search.points[index],
                "trial": index,
                "trials": allowance.trials,
                "validation": dict(record.metrics.validation),
                "examples_spent": search.examples,
            }
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": datasets.without_path(config.dataset),
        "task": config.task,
        "recipe": config.recipe,
        "validation_split": config.validation_split,
        "space": tuned.space(config),
        "halving": allowance.halving,
        "budget": {
            "kind": config.budget.kind,
            "amount_per_trial": config.budget.amount * allowance.trial_fraction,
        },
        "models": best,
    }
