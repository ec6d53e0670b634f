"""The configuration of one run: the suite's, with the run's model, seed, recipe and tuned values set."""

from collections.abc import Sequence

from ml_collections import ConfigDict

import models
from benchmarks.config import plugins, recipes, tuned
from benchmarks.config.stored import to_plain


def for_runs(config: ConfigDict, specs: Sequence[str], seeds: Sequence[int]) -> list[ConfigDict]:
    """Returns the configurations of a suite's runs, all specs with the first seed first.

    Those of one spec share all groups of fields: a suite of ten thousand runs holds them once a model.

    Raises:
      models.ModelError, ConfigError: as `for_run`.
    """
    firsts = [for_run(config, spec, seeds[0]) for spec in specs]
    return firsts + [_with_seed(each, seed) for seed in seeds[1:] for each in firsts]


def _with_seed(run: ConfigDict, seed: int) -> ConfigDict:
    other = ConfigDict()
    for name in run:
        other[name] = run[name]
    other.seed = seed
    other.suite = ConfigDict({"models": (run.model,), "seeds": (seed,)})
    if run.is_locked:
        other.lock()
    return other


def for_run(config: ConfigDict, spec: str, seed: int) -> ConfigDict:
    """Returns the configuration of one run of a suite, with its recipe and tuned values set.

    Raises:
      models.ModelError: no such model or option.
      ConfigError: as `resolved`.
    """
    plugins.load(config)
    run = ConfigDict(to_plain(config))
    run.plugins = tuple(config.plugins)
    run.cache = config.cache
    run.model = models.label(*models.parse(spec))
    run.seed = seed
    run.suite = ConfigDict({"models": (run.model,), "seeds": (seed,)})
    return resolved(run)


def resolved(config: ConfigDict) -> ConfigDict:
    """Returns the configuration of one run with its recipe's values set, and then its tuned ones.

    An earlier run's configuration, which has them already, is returned as it is, so that a record runs as it ran.

    Raises:
      models.ModelError: no such model or option.
      ConfigError: no recipe for this model, or nothing tuned for it.
    """
    plugins.load(config)
    if config.resolved:
        return config
    run = tuned.apply(recipes.apply(config.copy_and_resolve_references()))
    run.resolved = True
    return run
