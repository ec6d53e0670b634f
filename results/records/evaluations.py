"""How a run's weights do on other data, or made smaller: `evaluations/<name>.json` beside its `record.json`.

`python -m benchmarks.evaluate --workdir=RUN --name=NAME ...` and `benchmarks.compress` write them, with the predictions
for each example beside, in `<name>.npz`.
"""

import dataclasses
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isobudget.wording import quoted
from results import RecordError
from results.records import folders, layout
from results.records.checks import check_evaluation
from results.records.codec import decode, encode
from results.records.files import write_arrays, write_atomically
from results.records.schema import RunRecord

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Compression:
    """How the weights were made smaller before they were evaluated.

    Attributes:
      weight_bits: bits of a kept weight of a kernel; 32 where they stayed float32.
      sparsity: the part of each kernel's weights, the smallest ones, that was set to 0.
      index_bits: bits of the distance to the next kept weight; 0 where all are kept.
      bytes: of all parameters and batch statistics, as docs/results.md counts them; coded by frequency.
      dense_bytes: of the same in float32.
      fixed_bytes: of the same with words of a fixed number of bits; null in older evaluations, whose `bytes` these are.
      retrained_examples: on how many examples training went on after pruning.
    """

    weight_bits: int
    sparsity: float
    index_bits: int
    bytes: int
    dense_bytes: int
    fixed_bytes: int | None = None
    retrained_examples: int = 0


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of a run's weights.

    Attributes:
      name: of the test set, the same for every run that is compared on it.
      run_id: the run whose weights they are.
      weights_digest: of its record: an evaluation of other weights is not one of this run.
      split: of the dataset.
      metrics: as `schema.Metrics` has them.
      examples: how many count.
      left_out: how many have no label among the run's classes, and do not count.
      num_classes: among how many classes the model had to choose.
      image_size: pixels a side.
      needs: how pictures were fed to the model, as `models.weight_description` writes it; empty in version 1.
      finished_at: ISO 8601, UTC.
    """

    name: str
    run_id: str
    weights_digest: str
    dataset: str
    dataset_version: str
    split: str
    metrics: Mapping[str, float]
    examples: int
    num_classes: int
    image_size: int
    crop_fraction: float
    command: str
    finished_at: str
    left_out: int = 0
    compression: Compression | None = field(default=None)
    needs: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


def path_of(run_folder: str | os.PathLike[str], name: str) -> Path:
    """Returns where the evaluation `name` of a run lies.

    Raises:
      RecordError: the name is no file's name.
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise RecordError(f"an evaluation's name must name a file, not {quoted(name)}.")
    return layout.evaluations_in(run_folder) / f"{name}.json"


def predictions_of(run_folder: str | os.PathLike[str], name: str) -> Path:
    """Returns where what the evaluation `name` of a run predicted for each example lies."""
    return layout.evaluations_in(run_folder) / f"{name}.npz"


def write(
    evaluation: EvaluationRecord,
    run_folder: str | os.PathLike[str],
    predictions: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Writes the evaluation, and its predictions if given, beside its run's record and returns the first file's path.

    Raises:
      RecordError: its name is no file's name.
      OSError: it cannot be written.
    """
    path = path_of(run_folder, evaluation.name)
    if predictions is not None:
        write_arrays(predictions_of(run_folder, evaluation.name), predictions)
    write_atomically(path, json.dumps(encode(evaluation), indent=2, allow_nan=False) + "\n")
    return path


def read(path: str | os.PathLike[str]) -> EvaluationRecord:
    """Returns the evaluation in a file.

    Raises:
      RecordError: what is wrong with it, without its name.
    """
    try:
        return from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"it cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise RecordError(f"it is not JSON, or only half of it ({error}).") from None


def from_json(text: str) -> EvaluationRecord:
    """Returns the evaluation in `text`.

    Raises:
      RecordError: as `read`.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"it is not JSON, or only half of it ({error}).") from None
    version = value.get("schema_version") if isinstance(value, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        raise RecordError(
            f"it was written with evaluation schema {version} and this version of the suite reads "
            f"up to {SCHEMA_VERSION}; update the suite."
        )
    try:
        evaluation = decode(EvaluationRecord, value)
    except RecursionError:
        raise RecordError("its values are nested too deeply.") from None
    check_evaluation(evaluation)
    return evaluation


def load_all(
    directories: Iterable[str | os.PathLike[str]], run_records: Iterable[RunRecord]
) -> tuple[list[EvaluationRecord], list[folders.Problem]]:
    """Returns the evaluations of `run_records` that lie beside records under the directories.

    One that cannot be read, or whose weights are not those of its run's record, is left out by name. Copies in two
    folders count as one; of two that do not agree the later is kept, and the other left out by name.

    Raises:
      RecordError: one of the directories is not there.
    """
    runs = defaultdict(list)
    for record in run_records:
        runs[folders.original_id(record.run_id)].append(record)
    latest: dict[tuple[str, str], tuple[EvaluationRecord, Path]] = {}
    problems = []
    for record_path in folders.find(directories):
        for path in sorted(layout.evaluations_in(record_path.parent).glob("*.json")):
            try:
                evaluation = _of_a_run(read(path), path.stem, runs)
            except RecordError as error:
                problems.append(folders.Problem(path, str(error)))
                continue
            key = evaluation.run_id, evaluation.name
            kept = latest.setdefault(key, (evaluation, path))
            if kept[0] == evaluation:
                continue
            first, last = sorted([kept, (evaluation, path)], key=lambda each: each[0].finished_at)
            latest[key] = last
            reason = f"it is another evaluation of run '{evaluation.run_id}'; {last[1]} is later."
            problems.append(folders.Problem(first[1], reason))
    return [latest[key][0] for key in sorted(latest)], problems


def _of_a_run(
    evaluation: EvaluationRecord, name: str, runs: Mapping[str, Sequence[RunRecord]]
) -> EvaluationRecord:
    """Returns the evaluation under the run id that its run was loaded with."""
    if evaluation.name != name:
        raise RecordError(f"it calls itself {quoted(evaluation.name)}, not {quoted(name)}.")
    if evaluation.run_id not in runs:
        raise RecordError(f"there is no record of its run {quoted(evaluation.run_id)}.")
    for run in runs[evaluation.run_id]:
        if run.weights_digest == evaluation.weights_digest:
            return dataclasses.replace(evaluation, run_id=run.run_id)
    raise RecordError("its weights are not those of its run's record; evaluate it again.")
