"""Configurations as JSON: written, read back, migrated from older records, compared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from benchmarks.config import plugins
from benchmarks.config.fields import default_config
from benchmarks.errors import ConfigError


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """Returns a run's configuration as JSON has it: nested dicts, lists and scalars, without `config.suite`."""
    plain = json.loads(config.to_json_best_effort())
    plain.pop("suite", None)
    if not plain["plugins"]:
        del plain["plugins"]  # most runs have none, and older records have no such field
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
    migrated = _migrated(written)
    config = default_config()
    config.plugins = tuple(migrated.get("plugins", ()))
    # A record also names those that an installed package brought.
    brought = [each["module"] for each in content.get("plugins") or () if isinstance(each, dict)]
    plugins.load(config, str(path), brought)
    with config.unlocked():
        config.update(migrated)
    config.suite = ConfigDict({"models": (config.model,), "seeds": (config.seed,)})
    return config


# The values that `config.augmentation` had before its parts could be set one by one.
_NAMED_AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "shift": {"changes": ("shift",)},
    "crop_flip": {"crop": "random_resized", "changes": ("flip",)},
    "pad_crop_flip": {"changes": ("pad_and_crop", "flip")},
}


# Crops that had another name in earlier versions.
_RENAMED_CROPS = {"centre": "center"}


def _migrated(content: dict[str, Any]) -> dict[str, Any]:
    """Returns an older record's configuration as it is written today."""
    augmentation = content.get("augmentation")
    if isinstance(augmentation, str):
        augmentation = _NAMED_AUGMENTATIONS[augmentation]
    if isinstance(augmentation, dict) and augmentation.get("crop") in _RENAMED_CROPS:
        augmentation = augmentation | {"crop": _RENAMED_CROPS[augmentation["crop"]]}
    return content if augmentation is None else content | {"augmentation": augmentation}


def differences(there: dict[str, Any], here: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields a text such as `batch_size is 32 there, 64 here` for each field in which plain configurations differ."""
    for key in sorted(there.keys() | here.keys()):
        theirs, ours = there.get(key), here.get(key)
        if isinstance(theirs, dict) and isinstance(ours, dict):
            yield from differences(theirs, ours, f"{prefix}{key}.")
        elif theirs != ours:
            yield f"{prefix}{key} is {theirs!r} there, {ours!r} here"
