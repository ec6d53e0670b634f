"""A run's folder: which run it belongs to, and what is in it."""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks.config import stored
from benchmarks.errors import ConfigError
from results.records import files, layout

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
        if files.create_atomically(path, json.dumps(content, indent=2) + "\n"):
            return []
        theirs = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(
            f"the working directory {directory} cannot be written: {error.strerror or error}."
        ) from None
    except ValueError:
        raise ConfigError(f"{path} is damaged; remove it or choose another --workdir.") from None
    different = list(stored.differences(theirs, json.loads(json.dumps(content))))
    fixed = [str(each) for each in different if each.field not in may_change]
    if fixed:
        more = f" (and {len(fixed) - 3} more)" if len(fixed) > 3 else ""
        raise ConfigError(
            f"{directory} belongs to another configuration: {'; '.join(fixed[:3])}{more};"
            " choose another --workdir."
        )
    return different


def write_class_names(workdir: Path, class_names: Sequence[str]) -> None:
    """Writes the names of the dataset's classes into a run's folder, so that the run is of use without its dataset."""
    text = json.dumps(list(class_names), indent=1, ensure_ascii=False) + "\n"
    files.write_atomically(layout.class_names_in(workdir), text)
