"""One run's configuration: that of the suite with the run's model, seed, recipe and tuned values in it."""

from ml_collections import ConfigDict

import models
from benchmarks.config import plugins, recipes, tuned
from benchmarks.config.stored import to_plain


def for_run(config: ConfigDict, spec: str, seed: int) -> ConfigDict:
    """Returns the configuration of one run of a suite, its recipe and tuned values in it.

    Raises:
      models.ModelError: no such model or option.
      ConfigError: as `resolved`.
    """
    plugins.load(config)
    run = ConfigDict(to_plain(config))
    run.plugins = tuple(config.plugins)
    run.model = models.label(*models.parse(spec))
    run.seed = seed
    run.suite = ConfigDict({"models": (run.model,), "seeds": (seed,)})
    return resolved(run)


def resolved(config: ConfigDict) -> ConfigDict:
    """Returns the configuration of one run with its recipe's and then its tuned values in their fields.

    That of an earlier run, which has them, is returned as it is, so that a record runs again as it ran.

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
