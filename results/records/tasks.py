"""What each task is ranked by and which of its metrics people see: to add a task, add a line to `TASKS`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
      name: as records write it.
      primary: the metric of the test split that its rankings go by; higher is better.
      spoken: what a sentence calls the primary metric.
      shown: the metrics that have a column in Markdown and on the terminal, the primary one first.
      others: its further metrics that are fractions.
    """

    name: str
    primary: str
    spoken: str
    shown: tuple[str, ...]
    others: tuple[str, ...] = ()


TASKS = (
    Task("single_label", "top1", "top-1 accuracy", ("top1", "top5", "ece")),
    Task(
        "binary",
        "roc_auc",
        "ROC AUC",
        ("roc_auc", "average_precision", "accuracy", "f1", "ece"),
        ("precision", "recall"),
    ),
    Task(
        "multi_label",
        "mean_average_precision",
        "mean average precision",
        ("mean_average_precision", "micro_f1", "macro_f1", "exact_match"),
    ),
)

# Every metric that is a fraction, each once.
FRACTIONS = tuple(dict.fromkeys(name for task in TASKS for name in (*task.shown, *task.others)))

_BY_NAME = {task.name: task for task in TASKS}


def find(name: str) -> Task:
    """Returns the task of this name; an unknown one is ranked as `single_label`."""
    return _BY_NAME.get(name, TASKS[0])
