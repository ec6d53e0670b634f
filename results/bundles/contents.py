"""What a bundle is made of: the name of every file that one may hold, and the most bytes of each.

manifest.json                     the SHA-256 and the size of every other file
runs/<run id>/record.json         and the other files of a run's folder, as `results.records.layout` names them
runs/<run id>/weights.npz         its weights, where they were asked for
"""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import NamedTuple

from isobudget.wording import quoted
from results import RecordError
from results.records import layout

MANIFEST = "manifest.json"
WEIGHTS = "weights.npz"

MOST_FILES = 50_000
MOST_BYTES = 2 << 30  # of all files together, weights not counted
MOST_MANIFEST_BYTES = 16 << 20
MOST_WEIGHT_BYTES = 4 << 30
_LONGEST_NAME = 400  # characters

# By path below the folder of a run.
_MOST_BYTES = {
    layout.RECORD: 4 << 20,
    layout.METRICS: 32 << 20,
    layout.PROGRESS: 16 << 20,
    layout.CLASS_NAMES: 4 << 20,
    f"{layout.PREDICTIONS}/test.npz": 256 << 20,
    f"{layout.PREDICTIONS}/validation.npz": 256 << 20,
    WEIGHTS: MOST_WEIGHT_BYTES,
}
_EVALUATION = re.compile(rf"{layout.EVALUATIONS}/[^/]+\.(json|npz)")
_MOST_EVALUATION_BYTES = {"json": 1 << 20, "npz": 256 << 20}


class Place(NamedTuple):
    """Where a file belongs: the run's id, the path below its folder, and the most bytes that it may have."""

    run_id: str
    path: str
    most_bytes: int


def name_of(run_id: str, path: str) -> str:
    """Returns the name in a bundle of a file at `path` below a run's folder."""
    return f"{layout.RUNS}/{run_id}/{path}"


def check_name(name: str) -> None:
    """Refuses a name that could lead out of a folder, or that a terminal or a page would not show as it is.

    Raises:
      RecordError: one sentence with the name.
    """
    path = PurePosixPath(name)
    if not name.isprintable() or any(unicodedata.category(each) == "Cf" for each in name):
        raise RecordError(f"the name {quoted(name)} has characters that cannot be printed.")
    if len(name) > _LONGEST_NAME:
        raise RecordError(f"the name {quoted(name)} has more than {_LONGEST_NAME} characters.")
    outside = name.startswith(("/", "~")) or "\\" in name or re.match(r"[A-Za-z]:", name)
    if outside or ".." in path.parts or "." in name.split("/") or "" in name.split("/"):
        raise RecordError(f"the name {quoted(name)} leads out of the bundle, or to no file.")
    if re.search(r"[<>&\"]", name):
        raise RecordError(f"the name {quoted(name)} has characters of HTML.")


def place_of(name: str) -> Place:
    """Returns where a file that is not the manifest belongs.

    Raises:
      RecordError: it is no part of a bundle.
    """
    parts = name.split("/", 2)
    if len(parts) == 3 and parts[0] == layout.RUNS:
        _, run_id, path = parts
        if path in _MOST_BYTES:
            return Place(run_id, path, _MOST_BYTES[path])
        matched = _EVALUATION.fullmatch(path)
        if matched:
            return Place(run_id, path, _MOST_EVALUATION_BYTES[matched[1]])
    raise RecordError(f"{quoted(name)} is no part of a bundle.")
