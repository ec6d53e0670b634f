"""What is known of a training that is over until its evaluation is recorded: a record without metrics, `training.json`.

It is written when the weights are, before they are evaluated. An evaluation that fails or is interrupted, or whose
configuration changes, then costs no training.
"""

import dataclasses
from pathlib import Path

from results import records
from results.records import layout


def write(workdir: Path, record: records.RunRecord) -> None:
    """Writes what the record says of the training, whose weights are in the run's folder."""
    training = dataclasses.replace(
        record,
        status="failed",
        error="The training is over, and its evaluation is not.",
        metrics=records.Metrics(),
        decision=None,
    )
    records.write(training, layout.training_in(workdir))


def find(workdir: Path) -> records.RunRecord | None:
    """Returns what is known of the training in this folder if it is over and not evaluated.

    Raises:
      RecordError: the file is damaged.
    """
    path = layout.training_in(workdir)
    return records.read(path) if path.exists() else None


def remove(workdir: Path) -> None:
    """Removes the file, once the evaluation is recorded."""
    layout.training_in(workdir).unlink(missing_ok=True)
