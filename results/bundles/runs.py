"""One run of a submission: everything in it, read and checked to be what it says it is, but not yet believed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isobudget.wording import quoted
from results import RecordError
from results.bundles import arrays, contents, strict_json
from results.bundles.sources import Source
from results.records import evaluations, folders, layout
from results.records.evaluations import EvaluationRecord
from results.records.schema import RunRecord

_MOST_PREDICTION_BYTES = 512 << 20
_MOST_EXAMPLES = 20_000_000


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of the run on other data, with what it said of each example; None where that is not kept."""

    record: EvaluationRecord
    predictions: Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class SubmittedRun:
    """A run as it was submitted.

    Attributes:
      run_id: of the folder that it lies in.
      record: its record, migrated to this schema.
      schema_version: that the record was written with.
      log: the lines of its metrics log, in order; empty where there is none.
      progress: the lines of its `progress.jsonl`, which a budget of seconds has.
      class_names: of its dataset; empty where they are not kept.
      predictions: arrays by name, by split.
      evaluations: on other data.
      files: the names of its files.
    """

    run_id: str
    record: RunRecord
    schema_version: int
    log: list[dict[str, Any]]
    progress: list[dict[str, Any]]
    class_names: tuple[str, ...]
    predictions: Mapping[str, Mapping[str, np.ndarray]]
    evaluations: tuple[Evaluated, ...]
    files: tuple[str, ...] = field(default=())

    @property
    def has_weights(self) -> bool:
        """Whether its weights are beside it."""
        return contents.name_of(self.run_id, contents.WEIGHTS) in self.files


def run_ids(source: Source) -> tuple[str, ...]:
    """Returns the ids of a submission's runs, sorted.

    Raises:
      RecordError: it holds none, or files of a run without a record.
    """
    names = [name for name in source.names() if name != contents.MANIFEST]
    ids = sorted({contents.place_of(name).run_id for name in names})
    for run_id in ids:
        if contents.name_of(run_id, layout.RECORD) not in names:
            raise RecordError(f"run {quoted(run_id)} has no {layout.RECORD}.")
    if not ids:
        raise RecordError("it holds no run.")
    return tuple(ids)


def read_run(
    source: Source, run_id: str, note: Callable[[str, bytes], None] = lambda name, data: None
) -> SubmittedRun:
    """Returns one run of a submission.

    Args:
      source: the submission's files.
      run_id: one of `run_ids`.
      note: called with the name of each file, all but the weights, and with what it holds.

    Raises:
      RecordError: one of its files is damaged or holds what it should not; one sentence names which.
    """
    prefix = contents.name_of(run_id, "")
    names = tuple(name for name in source.names() if name.startswith(prefix))
    below = {name.removeprefix(prefix) for name in names}

    def data(path: str) -> bytes:
        name = prefix + path
        held = source.read(name)
        note(name, held)
        return held

    def text(path: str) -> str:
        return strict_json.text_of(data(path), prefix + path)

    record, schema_version = _record(data(layout.RECORD), prefix + layout.RECORD)

    def lines(path: str) -> list[dict[str, Any]]:
        return strict_json.parse_lines(text(path), prefix + path) if path in below else []

    def predicted(path: str) -> Mapping[str, np.ndarray]:
        return _predictions(data(path), prefix + path)

    splits = ("test", "validation")
    paths = {split: f"{layout.PREDICTIONS}/{split}.npz" for split in splits}
    return SubmittedRun(
        run_id=run_id,
        record=record,
        schema_version=schema_version,
        log=lines(layout.METRICS),
        progress=lines(layout.PROGRESS),
        class_names=_class_names(text(layout.CLASS_NAMES), prefix + layout.CLASS_NAMES)
        if layout.CLASS_NAMES in below
        else (),
        predictions={split: predicted(path) for split, path in paths.items() if path in below},
        evaluations=tuple(
            _evaluated(path, prefix, below, text, predicted)
            for path in sorted(below)
            if path.startswith(f"{layout.EVALUATIONS}/") and path.endswith(".json")
        ),
        files=names,
    )


def read_record(source: Source, run_id: str) -> RunRecord:
    """Returns the record of one run of a submission, migrated to this schema; raises as `read_run`."""
    name = contents.name_of(run_id, layout.RECORD)
    return _record(source.read(name), name)[0]


def _record(data: bytes, name: str) -> tuple[RunRecord, int]:
    """Returns the record in what its file holds, and the version of the schema that it was written with."""
    text = strict_json.text_of(data, name)
    plain = strict_json.parse(text, name)
    try:
        return folders.from_json(text), plain["schema_version"]
    except RecordError as error:
        raise RecordError(f"{quoted(name)}: {error}") from None


def _evaluated(
    path: str,
    prefix: str,
    below: set[str],
    text: Callable[[str], str],
    predicted: Callable[[str], Mapping[str, np.ndarray]],
) -> Evaluated:
    written = text(path)
    strict_json.parse(written, prefix + path)
    try:
        record = evaluations.from_json(written)
    except RecordError as error:
        raise RecordError(f"{quoted(prefix + path)}: {error}") from None
    beside = f"{path.removesuffix('.json')}.npz"
    return Evaluated(record, predicted(beside) if beside in below else None)


def _predictions(data: bytes, name: str) -> Mapping[str, np.ndarray]:
    """Returns the arrays of predictions, all with a value or a row for each of the same examples.

    Raises:
      RecordError: they are damaged, or do not fit together.
    """
    by_name = arrays.read(data, name, _MOST_PREDICTION_BYTES)
    counts = {each.shape[:1] for each in by_name.values()}
    if len(counts) != 1 or () in counts or max(each.ndim for each in by_name.values()) > 2:
        raise RecordError(f"{quoted(name)} does not hold a value of each array for each example.")
    if next(iter(counts))[0] > _MOST_EXAMPLES:
        raise RecordError(f"{quoted(name)} has more than {_MOST_EXAMPLES:,} examples.")
    return by_name


def _class_names(text: str, name: str) -> tuple[str, ...]:
    names = strict_json.parse(text, name)
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise RecordError(f"{quoted(name)} is not a list of names.")
    return tuple(names)
