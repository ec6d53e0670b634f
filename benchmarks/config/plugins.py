"""The plug-ins of a run: imported before its configuration is read, and named in its record with their versions."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from benchmarks import registry
from input_pipeline import augmentation
from isobudget import plugins
from isobudget.plugins import Plugin


def load(config: ConfigDict, wanted_by: str = "config.plugins") -> None:
    """Imports what `config.plugins` names, and sets the options that it registers to their defaults.

    Args:
      config: unlocked or not; fields that it has already keep their values.
      wanted_by: where the plug-ins are named, for the message if one is missing.

    Raises:
      isobudget.errors.PluginError, UserError: one cannot be imported, or registers what cannot be registered.
    """
    plugins.load(config.plugins, wanted_by)
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


def loaded() -> tuple[Plugin, ...]:
    """Returns the plug-ins that are imported in this process, with the versions that a record keeps."""
    return plugins.loaded()
