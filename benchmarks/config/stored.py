"""Configurations as JSON: written, read back, migrated from older records, compared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from benchmarks.config import plugins
from benchmarks.config.fields import NO_CACHE, default_config
from benchmarks.errors import ConfigError
from isobudget import earlier
from isobudget.wording import quoted, shown
from results.records import settings


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """Returns a run's configuration as JSON has it: nested dicts, lists and scalars, without `config.suite`."""
    plain = json.loads(config.to_json_best_effort())
    plain.pop("suite", None)
    if not plain["plugins"]:
        del plain["plugins"]  # most runs have none, and older records have no such field
    if plain["cache"] == NO_CACHE:
        del plain["cache"]  # likewise
    return plain


def load(path: Path) -> ConfigDict:
    """Returns the configuration in a `config.json`, or the one a `record.json` holds.

    Raises:
      ConfigError: no such file, or not a configuration.
      isobudget.errors.PluginError: a plug-in that it needs is not there.
    """
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration at {path}.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}.") from None
    written = content.get("config", content) if isinstance(content, dict) else None
    if not isinstance(written, dict) or "budget" not in written:
        raise ConfigError(f"{path} holds no configuration.")
    version = content.get("schema_version")
    written = {name: value for name, value in written.items() if name != "schema_version"}
    migrated = migrated_config(written, version, path)
    config = default_config()
    config.plugins = tuple(migrated.get("plugins", ()))
    # A record also names those that an installed package brought.
    brought = [each["module"] for each in content.get("plugins") or () if isinstance(each, dict)]
    plugins.load(config, str(path), brought)
    with config.unlocked():
        _update(config, migrated, path)
    config.suite = ConfigDict({"models": (config.model,), "seeds": (config.seed,)})
    return config


def migrated_config(content: dict[str, Any], version: Any, path: Path) -> dict[str, Any]:
    """Returns an older configuration as it is written today.

    Args:
      content: of a record, or of a run's folder.
      version: the schema version that it was written with; None if it does not say.
      path: where it was read, for messages.

    Raises:
      ConfigError: an augmentation that there never was.
    """
    spec = content.get("model")
    if isinstance(spec, str) and (type(version) is not int or version < earlier.SINCE):
        content = content | {"model": earlier.completed(spec)}
    augmentation = content.get("augmentation")
    if isinstance(augmentation, str):
        if augmentation not in settings.NAMED_AUGMENTATIONS:
            raise ConfigError(f"{path}: there is no augmentation {quoted(augmentation)}.")
        augmentation = settings.NAMED_AUGMENTATIONS[augmentation]
    if isinstance(augmentation, dict) and augmentation.get("crop") in settings.RENAMED_CROPS:
        augmentation = augmentation | {"crop": settings.RENAMED_CROPS[augmentation["crop"]]}
    return content if augmentation is None else content | {"augmentation": augmentation}


def _update(config: ConfigDict, content: dict[str, Any], path: Path, prefix: str = "") -> None:
    """Sets the fields of a configuration to those that are stored, each of its own type.

    Raises:
      ConfigError: one sentence on the first field that holds something else.
    """
    for name, value in content.items():
        field = f"config.{prefix}{name}"
        present = config.get(name)
        if isinstance(present, ConfigDict) and isinstance(value, dict):
            _update(present, value, path, f"{prefix}{name}.")
        elif isinstance(present, ConfigDict) or (value is None and present is not None):
            raise ConfigError(f"{path}: {field} cannot be {shown(value)}.")
        else:
            try:
                config[name] = value
            except (TypeError, ValueError):
                raise ConfigError(f"{path}: {field} cannot be {shown(value)}.") from None


class Difference(NamedTuple):
    """A field in which two plain configurations differ: its name, with dots, and its values."""

    field: str
    there: Any
    here: Any

    def __str__(self) -> str:
        return f"{self.field} is {shown(self.there)} there, {shown(self.here)} here"


def differences(
    there: dict[str, Any], here: dict[str, Any], prefix: str = ""
) -> Iterator[Difference]:
    """Yields each field in which plain configurations differ, sorted by name."""
    for key in sorted(there.keys() | here.keys()):
        theirs, ours = there.get(key), here.get(key)
        if isinstance(theirs, dict) and isinstance(ours, dict):
            yield from differences(theirs, ours, f"{prefix}{key}.")
        elif theirs != ours:
            yield Difference(f"{prefix}{key}", theirs, ours)
