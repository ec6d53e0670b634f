"""Equal tuning: the same points of the same search space tried for every model, judged on the validation split.

    python -m benchmarks.tune --config=benchmarks/configs/digits.py --workdir=runs/tuning --trials=8
    python -m benchmarks.suite --config=benchmarks/configs/digits.py --workdir=runs/tuned \
        --config.tuned=runs/tuning/tuned.json

`config.tuning` says which fields are searched, and from where to where. Each trial is a run of its own, in
`WORKDIR/trials/<model>/<trial>`, that never opens the test split. The same command goes on where an earlier one was
stopped, and with more trials adds to them; several workers may share WORKDIR. `tuned.json` holds what was best for each
model. The exit status is 1 if a model has no trial that completed, and 75 if the command was told to stop (SIGTERM).
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

import models
from benchmarks import claims, commands, preemption, tasks, tuning, validation, worker
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from benchmarks.search import Allowance, Search
from benchmarks.suite_display import Display
from results import files
from results import tasks as ranked_tasks


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
    commands.claim_directory(workdir, "tune.json", _shared(config, allowance))
    began = claims.now(workdir)
    total = sum(rung.trials for rung in rungs) * len(searches)
    with Display(total) as display, worker.stopped_by_sigterm():
        for rung in rungs:
            trials = {
                search: search.prepare(search.best(rung.trials), rung, allowance.halving)
                for search in searches
            }
            every = [trial for each in trials.values() for trial in each.values()]
            made = worker.work(every, [], began, display)
            for search, each in trials.items():
                search.judge({index: made[trial.workdir] for index, trial in each.items()})
    tuned = _tuned(config, workdir, allowance, searches)
    files.write_atomically(workdir / "tuned.json", json.dumps(tuned, indent=2) + "\n")
    return tuned


def _searches(
    config: ConfigDict, workdir: Path, allowance: Allowance, model_specs: Sequence[str]
) -> list[Search]:
    if not tuning.space(config):
        raise ConfigError(
            "config.tuning names no field to search, such as optimizer.learning_rate."
        )
    if not config.validation_split or config.validation_split == config.test_split:
        raise ConfigError("tuning needs a config.validation_split that is not the test split.")
    config = config.copy_and_resolve_references()
    config.tuned = config.test_split = ""
    seed = config.suite.seeds[0]
    shared = [config_lib.for_run(config, spec, seed) for spec in dict.fromkeys(model_specs)]
    for each in shared:
        validation.validate(each)
    points = tuning.points(config, allowance.trials)
    dataset = tasks.load_dataset(config)
    return [
        Search(each, workdir / "trials" / _folder(each.model), points, dataset) for each in shared
    ]


def _folder(label: str) -> str:
    return label.replace(":", "-").replace(",", "-")


def _shared(config: ConfigDict, allowance: Allowance) -> dict[str, Any]:
    """Returns what two commands on one folder have in common; without halving the number of trials may differ."""
    shared = config_lib.to_plain(config)
    shared.pop("model", None)
    shared |= {"trial_fraction": allowance.trial_fraction, "halving": allowance.halving}
    return shared | ({"trials": allowance.trials} if allowance.halving else {})


def _tuned(
    config: ConfigDict, workdir: Path, allowance: Allowance, searches: list[Search]
) -> dict[str, Any]:
    """Returns the content of `tuned.json`, models of earlier commands in the same folder included."""
    path = workdir / "tuned.json"
    found = tuning.read(path)["models"] if path.exists() else {}
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
        "space": tuning.space(config),
        "halving": allowance.halving,
        "budget": {
            "kind": config.budget.kind,
            "amount_per_trial": config.budget.amount * allowance.trial_fraction,
        },
        "models": found,
    }


def define_flags() -> None:
    commands.define_run_flags("The tuning's folder; the same command goes on in it.")
    flags.DEFINE_integer("trials", None, "How many points each model may try.", lower_bound=1)
    flags.mark_flag_as_required("trials")
    flags.DEFINE_string("models", None, "Which models, with commas between them.")
    flags.DEFINE_float("trial_fraction", 1.0, "The budget of a trial, in that of a run.")
    flags.DEFINE_bool(
        "halving",
        False,
        "Train all for less and the better half for longer; the total is the same.",
    )


def main() -> int:
    given, config = flags.FLAGS, commands.given_config()
    if not (math.isfinite(given.trial_fraction) and given.trial_fraction > 0):
        raise ConfigError(f"--trial_fraction is a number above 0, not {given.trial_fraction}.")
    specs = config_lib.split_specs(given.models) if given.models else config.suite.models
    try:
        tuned = run(
            config,
            given.workdir,
            Allowance(given.trials, given.trial_fraction, given.halving),
            model_specs=specs,
        )
    except worker.StoppedError:
        print("told to stop; the same command goes on", file=sys.stderr)
        return preemption.AGAIN_STATUS
    labels = [models.label(*models.parse(spec)) for spec in specs]
    for label in labels:
        entry = tuned["models"].get(label)
        found = "no trial completed"
        if entry:
            values = ", ".join(f"{field}={value:g}" for field, value in entry["best"].items())
            task = ranked_tasks.find(given.config.task)
            found = f"{values} (validation {task.spoken} {entry['validation'][task.primary]:.2%})"
        print(f"{label}: {found}")
    print(f"Use them: --config.tuned={Path(given.workdir) / 'tuned.json'}")
    return int(any(label not in tuned["models"] for label in labels))


if __name__ == "__main__":
    commands.run(main, define_flags)
