"""Which plug-ins a run needs: those that its configuration names, and those whose parts it uses."""

from collections.abc import Iterator

from ml_collections import ConfigDict

import models
from benchmarks import registry, tasks
from benchmarks.config import recipes
from input_pipeline import augmentation, builders
from isobudget import plugins


def needed_plugins(config: ConfigDict) -> tuple[plugins.Plugin, ...]:
    """Returns the plug-ins that must be there to run a configuration again, by name.

    Installed packages bring plug-ins that a run may not use: of these it needs the ones whose package registered its
    model, dataset, crop, changes, optimizer, schedule, recipe or a metric of its task.
    """
    packages = {_package(module) for module in _modules(config)}
    return tuple(
        each
        for each in plugins.loaded()
        if each.module in config.plugins or _package(each.module) in packages
    )


def _package(module: str) -> str:
    return module.partition(".")[0]


def _modules(config: ConfigDict) -> Iterator[str]:
    """Yields the modules that registered the parts of a run."""
    info = models.info(config.model)
    yield info.build.__module__
    builder = builders.find(config.dataset)
    if builder is not None:
        yield builder.__module__
    yield augmentation.CROPS[config.augmentation.crop].__module__
    for change in config.augmentation.changes:
        yield augmentation.CHANGES[change].__module__
    yield registry.OPTIMIZERS.module_of(config.optimizer.name)
    yield registry.SCHEDULES.module_of(config.optimizer.schedule)
    if config.recipe == "paper":
        yield recipes.RECIPES.module_of(info.family)
    for metric in tasks.METRICS[config.task]:
        yield tasks.METRICS[config.task].module_of(metric)
