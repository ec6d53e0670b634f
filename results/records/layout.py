"""Where the files of a run lie: every name and path is said here, and nowhere else.

DIR/runs/<run id>/            one run; its folder
  record.json                 what was asked, spent and reached
  metrics.jsonl               the learning curves, a line each time something was logged
  progress.jsonl              of a budget of seconds: the share that was spent, a line each time the clock was read
  class_names.json            the classes of its dataset
  predictions/SPLIT.npz       what it said of each example of a split
  predictions/mistakes.png    pictures of its most confident mistakes, and mistakes.json on which is which
  evaluations/NAME.json       what its weights reach on other data, or made smaller
  evaluations/NAME.npz        what it said there of each example
  concurrent_runs.txt         of a training that shared its host, with how many at most, until it is recorded
  training.json               of a training that is over, what its record will say, until its evaluation is recorded
  earlier/N/                  what there was before evaluation was configured anew: record, curves, predictions and
                              evaluations, with the configuration of then; no run of its own, and in no table
"""

import os
from pathlib import Path

FolderLike = str | os.PathLike[str]

RUNS = "runs"
RECORD = "record.json"
METRICS = "metrics.jsonl"
PROGRESS = "progress.jsonl"
CLASS_NAMES = "class_names.json"
PREDICTIONS = "predictions"
EVALUATIONS = "evaluations"
TRAINING = "training.json"
EARLIER = "earlier"
MISTAKES_PNG, MISTAKES_JSON = "mistakes.png", "mistakes.json"


def run_folder(directory: FolderLike, run_id: str) -> Path:
    """Returns the folder of run `run_id` under `directory`."""
    return Path(directory) / RUNS / run_id


def record_path(directory: FolderLike, run_id: str) -> Path:
    """Returns where the record of run `run_id` lies under `directory`."""
    return path_in(run_folder(directory, run_id))


def path_in(folder: FolderLike) -> Path:
    """Returns where the record lies in a run's folder."""
    return Path(folder) / RECORD


def metrics_in(folder: FolderLike) -> Path:
    """Returns where the learning curves lie in a run's folder."""
    return Path(folder) / METRICS


def progress_in(folder: FolderLike) -> Path:
    """Returns where a run's folder tells how a budget of seconds was spent."""
    return Path(folder) / PROGRESS


def class_names_in(folder: FolderLike) -> Path:
    """Returns where the names of the classes lie in a run's folder."""
    return Path(folder) / CLASS_NAMES


def predictions_in(folder: FolderLike, split: str) -> Path:
    """Returns where the predictions of a split (`test` or `validation`) lie in a run's folder."""
    return Path(folder) / PREDICTIONS / f"{split}.npz"


def mistakes_in(folder: FolderLike) -> tuple[Path, Path]:
    """Returns where the sheet of pictures of mistakes lies in a run's folder, and the JSON on which is which."""
    predictions = Path(folder) / PREDICTIONS
    return predictions / MISTAKES_PNG, predictions / MISTAKES_JSON


def training_in(folder: FolderLike) -> Path:
    """Returns where a run's folder says of a training that is over what it took."""
    return Path(folder) / TRAINING


def earlier_in(folder: FolderLike, number: int) -> Path:
    """Returns where a run's folder keeps what was evaluated before its evaluation was configured anew, from 1."""
    return Path(folder) / EARLIER / str(number)


def evaluations_in(folder: FolderLike) -> Path:
    """Returns the folder of evaluations on other data in a run's folder."""
    return Path(folder) / EVALUATIONS
