"""What is compared: the leaderboard of a folder of runs, or one that was written to a file."""

import json
from pathlib import Path
from typing import Any

from isobudget import earlier
from results import RecordError, records
from results.rankings.rows import summarize
from results.tables import document


def load(path: str) -> tuple[dict[str, Any], list[records.Problem]]:
    """Returns the document of a folder of runs or of a `leaderboard.json`, and the records left out.

    Raises:
      RecordError: there is nothing of the kind at `path`, in one sentence.
    """
    if Path(path).is_file():
        return _read(Path(path)), []
    loaded, problems = records.load_all([path])
    if not loaded and Path(path, document.FILE_NAME).is_file():
        return _read(Path(path, document.FILE_NAME)), problems
    if not loaded:
        raise RecordError(f"there are no readable records in {path}, and no {document.FILE_NAME}.")
    # As a file would have it: one kind of input is enough to test.
    return json.loads(document.to_json(summarize(loaded))), problems


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: it cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: it is not JSON, or only half of it ({error}).") from None
    version = value.get("schema_version") if isinstance(value, dict) else None
    if type(version) is not int or not isinstance(value.get("rankings"), list):
        raise RecordError(f"{path}: it is not a {document.FILE_NAME}.")
    if version > document.SCHEMA_VERSION:
        raise RecordError(f"{path}: it was written by a newer version of the suite; update yours.")
    return value if version > 1 else _with_later_options(value)


def _with_later_options(value: dict[str, Any]) -> dict[str, Any]:
    """Returns an earlier version's document with the options in its rows' models that they have gained since."""
    for ranking in value["rankings"]:
        rows = ranking.get("rows") if isinstance(ranking, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and isinstance(row.get("model"), str):
                # What tells two rows of a model apart follows its options.
                spec, blank, apart = row["model"].partition(" ")
                row["model"] = earlier.completed(spec) + blank + apart
    return value
