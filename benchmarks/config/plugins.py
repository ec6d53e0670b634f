"""The plug-ins that a configuration names: imported before anything else of it is looked at."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from benchmarks import registry
from input_pipeline import augmentation
from isobudget import plugins


def load(config: ConfigDict, wanted_by: str = "config.plugins", more: Sequence[str] = ()) -> None:
    """Imports what `config.plugins` names, and sets the options that it registers to their defaults.

    Args:
      config: unlocked or not; fields that it has already keep their values.
      wanted_by: where the plug-ins are named, for the message if one is missing.
      more: other plug-ins that are named there.

    Raises:
      isobudget.errors.PluginError, UserError: one cannot be imported, or registers what cannot be registered.
    """
    plugins.load((*config.plugins, *more), wanted_by)
    registered = (
        (config.augmentation, augmentation.defaults()),
        (config.optimizer, registry.optimizer_options()),
    )
    with config.unlocked():
        for part, defaults in registered:
            for name, default in defaults.items():
                if name not in part:
                    part[name] = ConfigDict(default) if isinstance(default, dict) else default


def add(config: ConfigDict, names: Sequence[str]) -> None:
    """Adds the plug-ins that the command line names to the configuration's."""
    config.plugins = tuple(dict.fromkeys((*config.plugins, *names)))
