"""The same points tried for every model, and what was best for each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from benchmarks import tasks
from benchmarks.config import resolve, stored, tuned
from benchmarks.errors import ConfigError
from benchmarks.launch import local, locks
from benchmarks.launch.display import Display
from benchmarks.runs import validation
from benchmarks.runs.folder import claim_directory
from benchmarks.tune.points import points
from benchmarks.tune.search import Allowance, Search
from results.records import files


def run(
    config: ConfigDict,
    workdir: str | Path,
    allowance: Allowance,
    *,
    model_specs: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Tries the same points for every model and returns what `tuned.json` holds.

    Args:
      config: what the trials share, see `benchmarks/config.py`; of its seeds the first is used.
      workdir: gets `trials/<model>/<trial>/record.json` and `tuned.json`.
      allowance: what each model may spend.
      model_specs: `config.suite.models` unless given.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
      worker.StoppedError: on SIGTERM.
    """
    workdir = Path(workdir)
    searches = _searches(config, workdir, allowance, model_specs or config.suite.models)
    rungs = allowance.rungs()
    for search in searches:  # every mistake shows before anything is trained
        for rung in rungs:
            search.prepare([0], rung, allowance.halving)
    claim_directory(workdir, "tune.json", _shared(config, allowance))
    began = locks.now(workdir)
    total = sum(rung.trials for rung in rungs) * len(searches)
    with Display(total) as display, local.stopped_by_sigterm():
        for rung in rungs:
            trials = {
                search: search.prepare(search.best(rung.trials), rung, allowance.halving)
                for search in searches
            }
            every = [trial for each in trials.values() for trial in each.values()]
            made = local.work(every, [], began, display)
            for search, each in trials.items():
                search.judge({index: made[trial.workdir] for index, trial in each.items()})
    tuned = _tuned(config, workdir, allowance, searches)
    files.write_atomically(workdir / "tuned.json", json.dumps(tuned, indent=2) + "\n")
    return tuned


def _searches(
    config: ConfigDict, workdir: Path, allowance: Allowance, model_specs: Sequence[str]
) -> list[Search]:
    if not tuned.space(config):
        raise ConfigError(
            "config.tuning names no field to search, such as optimizer.learning_rate."
        )
    if not config.validation_split or config.validation_split == config.test_split:
        raise ConfigError("tuning needs a config.validation_split that is not the test split.")
    config = config.copy_and_resolve_references()
    config.tuned = config.test_split = ""
    seed = config.suite.seeds[0]
    shared = [resolve.for_run(config, spec, seed) for spec in dict.fromkeys(model_specs)]
    for each in shared:
        validation.validate(each)
    tried = points(config, allowance.trials)
    dataset = tasks.load_dataset(config)
    return [
        Search(each, workdir / "trials" / _folder(each.model), tried, dataset) for each in shared
    ]


def _folder(label: str) -> str:
    return label.replace(":", "-").replace(",", "-")


def _shared(config: ConfigDict, allowance: Allowance) -> dict[str, Any]:
    """Returns what two commands on one folder have in common; without halving the number of trials may differ."""
    shared = stored.to_plain(config)
    shared.pop("model", None)
    shared |= {"trial_fraction": allowance.trial_fraction, "halving": allowance.halving}
    return shared | ({"trials": allowance.trials} if allowance.halving else {})


def _tuned(
    config: ConfigDict, workdir: Path, allowance: Allowance, searches: list[Search]
) -> dict[str, Any]:
    """Returns the content of `tuned.json`, models of earlier commands in the same folder included."""
    path = workdir / "tuned.json"
    found = tuned.read(path)["models"] if path.exists() else {}
    for search in searches:
        (index,) = search.best(1)
        record = search.records[index]
        found.pop(search.label, None)
        if record.status == "completed":
            found[search.label] = {
                "best": search.points[index],
                "trial": index,
                "trials": allowance.trials,
                "validation": dict(record.metrics.validation),
                "examples_spent": search.examples,
            }
    return {
        "dataset": config.dataset,
        "task": config.task,
        "recipe": config.recipe,
        "validation_split": config.validation_split,
        "space": tuned.space(config),
        "halving": allowance.halving,
        "budget": {
            "kind": config.budget.kind,
            "amount_per_trial": config.budget.amount * allowance.trial_fraction,
        },
        "models": found,
    }
