"""Claiming the folder of a run or of a suite for a configuration, whose evaluation may change when training is over.

The fields of `config.fields.EVALUATION_FIELDS` touch no weight. If nothing else has changed, a training is kept: it
goes on, or is evaluated again if it is over. What was evaluated before is kept in `earlier/` of the run's folder.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from benchmarks.config import stored
from benchmarks.config.fields import EVALUATION_FIELDS
from benchmarks.errors import ConfigError
from benchmarks.runs import finished_training
from benchmarks.runs.folder import CONFIG_FILE, as_text, claim_directory
from benchmarks.runs.record import finished_record
from benchmarks.weights.stored import has_weights
from isobudget.wording import shown
from results.records import files, layout

_SUITE_FILE = "suite.json"
# Of a run's folder, what one evaluation has written and the next would write over.
_EVALUATED = (layout.PREDICTIONS, layout.EVALUATIONS, layout.RECORD)
_EVALUATION = re.compile('"(validation|test)/')  # in a line of learning curves


def claim_run(workdir: Path, config: ConfigDict) -> None:
    """Makes the folder of a run and writes its configuration there, or checks that it is this run's.

    If only its evaluation is configured anew, the training is kept, and a line on standard error says so.

    Raises:
      ConfigError: the folder cannot be written, or belongs to another configuration.
    """
    content = stored.to_plain(config)
    changes = claim_directory(workdir, CONFIG_FILE, content, EVALUATION_FIELDS)
    if not changes:
        return
    record = finished_record(workdir)
    if record and not has_weights(workdir):
        raise ConfigError(
            f"{workdir} belongs to another configuration: {changes[0]}; its weights are gone, so that it cannot be"
            " evaluated anew: choose another --workdir."
        )
    if record:
        finished_training.write(workdir, record)
    kept = _keep_earlier(workdir)
    _write(workdir / CONFIG_FILE, content)
    goes_on = "evaluated anew" if finished_training.find(workdir) else "goes on"
    calibrated = bool(record and record.decision and record.decision.temperature)
    again = " Calibrate it again." if calibrated else ""
    _tell(
        f"{workdir}: {_text(changes)}; the training is kept and {goes_on}, and what was evaluated before is in"
        f" {kept}.{again}"
    )


def open_suite(workdir: Path, shared: dict[str, Any]) -> None:
    """Makes the folder of a suite, or checks that it is this suite's and leaves it as it is.

    Raises:
      ConfigError: as `claim_run`.
    """
    claim_directory(workdir, _SUITE_FILE, shared, EVALUATION_FIELDS)


def claim_suite(workdir: Path, shared: dict[str, Any]) -> None:
    """Makes the folder of a suite and writes what its runs share there, or checks that it is this suite's.

    If only evaluation is configured anew, each run keeps its training, and a line on standard error says so.

    Raises:
      ConfigError: as `claim_run`.
    """
    changes = claim_directory(workdir, _SUITE_FILE, shared, EVALUATION_FIELDS)
    if changes:
        _write(workdir / _SUITE_FILE, shared)
        _tell(f"{workdir}: {_text(changes)}; trainings are kept, and evaluated anew.")


def check_suite(workdir: Path, shared: dict[str, Any]) -> None:
    """Checks that no other shard has configured the suite's evaluation anew since this one claimed its folder.

    Raises:
      ConfigError: one has: each would undo the other's evaluations.
    """
    changes = claim_directory(workdir, _SUITE_FILE, shared, EVALUATION_FIELDS)
    if changes:
        raise ConfigError(
            f"another shard has configured the evaluation of {workdir} anew since this one began: {changes[0]}."
        )


def is_evaluated_otherwise(workdir: Path, config: ConfigDict) -> bool:
    """Returns whether the folder holds the run of this configuration, but evaluated as another configuration says."""
    path = workdir / CONFIG_FILE
    if not path.exists():
        return False
    ours = json.loads(json.dumps(stored.to_plain(config)))
    try:
        theirs = json.loads(path.read_text())
    except (OSError, ValueError):
        return False  # claiming it will tell
    return any(each.field in EVALUATION_FIELDS for each in stored.differences(theirs, ours))


def _keep_earlier(workdir: Path) -> Path:
    """Returns the folder in which there is now what the run's folder held of its earlier evaluation.

    The configuration comes last: killed on the way, the next call goes on in the same folder.
    """
    number = 1
    while (layout.earlier_in(workdir, number) / CONFIG_FILE).exists():
        number += 1
    kept = layout.earlier_in(workdir, number)
    kept.mkdir(parents=True, exist_ok=True)
    metrics = layout.metrics_in(workdir)
    for curve in (metrics, layout.progress_in(workdir)):
        if curve.exists() and not (kept / curve.name).exists():
            files.write_atomically(kept / curve.name, curve.read_bytes())
    if metrics.exists():
        files.write_atomically(metrics, _of_training(metrics.read_text()))
    for name in _EVALUATED:
        if (workdir / name).exists():
            os.replace(workdir / name, kept / name)
    shutil.copy2(workdir / CONFIG_FILE, kept / CONFIG_FILE)
    return kept


def _of_training(lines: str) -> str:
    """Returns the lines of learning curves without those of an evaluation, which was configured otherwise."""
    kept = (each for each in lines.splitlines(keepends=True) if not _EVALUATION.search(each))
    return "".join(kept)


def _write(path: Path, content: dict[str, Any]) -> None:
    files.write_atomically(path, as_text(content))


def _text(changes: Sequence[stored.Difference]) -> str:
    return ", ".join(
        f"{each.field} was {shown(each.there)} and is {shown(each.here)} now" for each in changes
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
