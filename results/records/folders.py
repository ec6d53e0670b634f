"""The record of one run, and the folders that hold them.

A run writes one JSON file, `DIR/runs/<run id>/record.json`, whole or not at all, so that runs on
many machines can share a folder and every table is a function of the records alone. The fields are
in `results.records.schema`, and `results.records.codec` says how JSON keeps the NaN of a diverged run.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import stat
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobudget import earlier
from isobudget.wording import quoted_path, shown
from results import RecordError
from results.records import groups, settings
from results.records.checks import check_run
from results.records.codec import decode, encode, says_non_finite
from results.records.files import write_atomically
from results.records.layout import RECORD, RUNS, path_in
from results.records.schema import SCHEMA_VERSION, RunRecord


@dataclass(frozen=True)
class Problem:
    """A record that was left out, and why (one sentence)."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def to_json(record: RunRecord) -> str:
    """Returns the record as strict JSON text, checked to be readable again by `from_json`.

    Raises:
      RecordError: naming a field of the wrong type.
    """
    text = json.dumps(encode(record), indent=2, allow_nan=False) + "\n"
    from_json(text)
    return text


def from_json(text: str) -> RunRecord:
    """Returns the record in `text`; one of an older schema comes back as one of this schema.

    Raises:
      RecordError: the text is not JSON, a field is missing, unknown, ill-typed or out of range, or the record was
        written with a newer schema; one sentence says which.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"it is not JSON, or only half of it ({error}).") from None
    version = value.get("schema_version") if isinstance(value, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise RecordError(
            f"it was written with record schema {version} and this version of the suite reads "
            f"up to {SCHEMA_VERSION}: update the suite to read it."
        )
    if isinstance(value, dict) and (type(version) is not int or version < 1):
        raise RecordError(
            f"the field 'schema_version' must be an integer from 1, not {shown(version)}."
        )
    if version is not None and version < earlier.SINCE:
        value = _with_later_options(value)
    try:
        record = decode(RunRecord, value, finite=not says_non_finite(text))
    except RecursionError:
        raise RecordError("its values are nested too deeply.") from None
    record = dataclasses.replace(record, schema_version=SCHEMA_VERSION)
    check_run(record)
    return record


def _with_later_options(tree: dict[str, Any]) -> dict[str, Any]:
    """Returns an earlier version's record with the options that its model has gained; an ill-typed one as it is."""
    model, config = tree.get("model"), tree.get("config")
    if not isinstance(model, dict) or not isinstance(config, dict):
        return tree
    name, options, spec = model.get("name"), model.get("options"), config.get("model")
    if isinstance(name, str) and isinstance(options, dict):
        model = model | {"options": earlier.completed_options(name, options)}
    if isinstance(spec, str):
        config = config | {"model": earlier.completed(spec)}
    return tree | {"model": model, "config": config}


def write(record: RunRecord, path: str | os.PathLike[str]) -> None:
    """Writes the record to `path`, making its folder; it is there whole or not at all.

    Raises:
      RecordError: naming a field of the wrong type.
      OSError: the folder or the file cannot be written.
    """
    write_atomically(path, to_json(record))


def read(path: str | os.PathLike[str]) -> RunRecord:
    """Returns the record in the file `path`.

    Raises:
      RecordError: naming the file and what is wrong with it.
    """
    try:
        return _parse(path)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def find(directories: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Returns the record files under the directories, sorted, each once.

    A directory is a run's folder (it holds `record.json`) or one of many runs (`runs/*/`). A run
    still under way has no record yet, and is not an error.

    Raises:
      RecordError: one of the directories is not there.
    """
    by_inode = {}
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise RecordError(
                f"there is no folder {quoted_path(directory)} to look for records in."
            )
        for path in (path_in(directory), *directory.glob(f"{RUNS}/*/{RECORD}")):
            with contextlib.suppress(OSError):
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    by_inode[status.st_dev, status.st_ino] = path
    return sorted(by_inode.values(), key=str)


def load_all(
    directories: Iterable[str | os.PathLike[str]],
) -> tuple[list[RunRecord], list[Problem]]:
    """Returns the readable records under the directories, by run id, and those left out.

    See `load_with_folders`, which also tells where they lie.
    """
    records, _, problems = load_with_folders(directories)
    return records, problems


def load_with_folders(
    directories: Iterable[str | os.PathLike[str]],
) -> tuple[list[RunRecord], dict[str, Path], list[Problem]]:
    """Returns the readable records, by run id, the folder of each, and those left out.

    Two files of the same run are one record if they agree. If they do not, the run that finished last is kept, whatever
    order they come in, and the other is left out by name. Runs of one name that do not share a row (because of two
    budgets or learning rates, say) are all kept, with their suite's folder before their name: `flops/alexnet-seed0`.

    Raises:
      RecordError: one of the directories is not there.
    """
    kept: dict[tuple[str, str, groups.Group, settings.Settings], tuple[RunRecord, Path]] = {}
    problems = []
    for path in find(directories):
        try:
            record = _parse(path)
        except RecordError as error:
            problems.append(Problem(path, str(error)))
            continue
        # An earlier version may have given a run's name to another network, hence the label.
        key = record.run_id, record.label, groups.group_of(record), settings.of_model(record)
        before = kept.setdefault(key, (record, path))
        if before[1] == path or _order(before[0]) == _order(record):
            continue
        last, first = sorted([before, (record, path)], key=lambda e: _order(e[0]), reverse=True)
        kept[key] = last
        reason = f"it is another record of run '{record.run_id}'; {last[1]} is later."
        problems.append(Problem(first[1], reason))
    named = _by_distinct_names(kept.values())
    in_order = [named[run_id] for run_id in sorted(named)]
    folders = {record.run_id: path.parent for record, path in in_order}
    return [record for record, _ in in_order], folders, sorted(problems, key=lambda p: p.path)


def original_id(run_id: str) -> str:
    """Returns the name that a run has in its record, without the folders that tell it from others of this name."""
    return run_id.rpartition("/")[2]


def _by_distinct_names(
    records: Iterable[tuple[RunRecord, Path]],
) -> dict[str, tuple[RunRecord, Path]]:
    """Returns records with their paths by run id; runs of one id get the names of the folders that tell them apart."""
    alike = defaultdict(list)
    for record, path in records:
        alike[record.run_id].append((record, path))
    named = {}
    for run_id, same in alike.items():
        folders = {path: path.parent.absolute().parts for _, path in same}
        for record, path in same:
            others = [folders[other] for other in folders if other != path]
            depth = 0
            while any(_end(other, depth) == _end(folders[path], depth) for other in others):
                depth += 1
            # Each lies in a folder `runs`, and in one of its own name.
            above = [each for each in _end(folders[path], depth) if each not in (RUNS, run_id)]
            unique = "/".join((*above, run_id))
            named[unique] = dataclasses.replace(record, run_id=unique), path
    return named


def _end(parts: tuple[str, ...], count: int) -> tuple[str, ...]:
    return parts[max(0, len(parts) - count) :]


def _order(record: RunRecord) -> tuple[datetime.datetime, str]:
    return datetime.datetime.fromisoformat(record.finished_at), to_json(record)


def _parse(path: str | os.PathLike[str]) -> RunRecord:
    try:
        return from_json(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise RecordError("it is not text.") from None
    except OSError as error:
        raise RecordError(f"it cannot be read ({error.strerror}).") from None


def _refuse_constant(name: str) -> None:
    raise RecordError(f'it has the bare word {name}, which is not JSON; write the string "{name}".')
