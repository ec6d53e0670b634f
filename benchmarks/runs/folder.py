"""A run's folder: which run it belongs to, and what is in it."""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks.config import stored
from benchmarks.errors import ConfigError
from isobudget import earlier
from results.records import SCHEMA_VERSION, files, layout

_VERSION = "schema_version"
# The files of a run's folder besides those that `results` reads.
CONFIG_FILE = "config.json"
LOG_FILE = "log.txt"


def claim_directory(
    directory: Path, name: str, content: dict[str, Any], may_change: Collection[str] = ()
) -> list[stored.Difference]:
    """Makes the directory and writes `content` as its file `name`, or checks that such a file holds the same.

    Returns:
      The fields of `may_change` in which the file differs, which is left as it is.

    Raises:
      ConfigError: the directory cannot be made or written, or belongs to another configuration.
    """
    path = directory / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(13, "Permission denied")
        if files.create_atomically(path, as_text(content)):
            return []
        theirs = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(
            f"the working directory {directory} cannot be written: {error.strerror or error}."
        ) from None
    except ValueError:
        raise ConfigError(f"{path} is damaged; remove it or choose another --workdir.") from None
    if not isinstance(theirs, dict):
        raise ConfigError(f"{path} is damaged; remove it or choose another --workdir.")
    version = theirs.pop(_VERSION, None)
    theirs = stored.migrated_config(theirs, version, path)
    different = list(stored.differences(theirs, json.loads(json.dumps(content))))
    fixed = [str(each) for each in different if each.field not in may_change]
    if fixed:
        more = f" (and {len(fixed) - 3} more)" if len(fixed) > 3 else ""
        raise ConfigError(
            f"{directory} belongs to another configuration: {'; '.join(fixed[:3])}{more};"
            " choose another --workdir."
        )
    return different


def as_text(content: dict[str, Any]) -> str:
    """Returns a configuration as a folder's file has it, which says by which version it was written."""
    return json.dumps(content | {_VERSION: SCHEMA_VERSION}, indent=2) + "\n"


def check_model(directory: Path, label: str) -> None:
    """Checks that what an earlier version left in a run's folder, if anything, is of the model that is to run there.

    Models that have gained options since had the same folder's name with other values of them.

    Args:
      directory: the run's folder, which need not be there.
      label: the model that is to run, with its options.

    Raises:
      ConfigError: it holds a run of another model.
    """
    for path in (directory / CONFIG_FILE, layout.path_in(directory)):
        try:
            content = json.loads(path.read_text())
            spec = content.get("config", content)["model"]
            meant = earlier.completed(spec)
            version = int(content.get(_VERSION) or 0)
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            continue  # what reads the whole file says what is wrong with it
        if version < earlier.SINCE and meant not in (spec, label):
            raise ConfigError(
                f"{directory} holds a run of an earlier version, whose {spec} is {meant} today, and not {label}; choose"
                " another --workdir."
            )


def write_class_names(workdir: Path, class_names: Sequence[str]) -> None:
    """Writes the names of the dataset's classes into a run's folder, so that the run is of use without its dataset."""
    text = json.dumps(list(class_names), indent=1, ensure_ascii=False) + "\n"
    files.write_atomically(layout.class_names_in(workdir), text)
