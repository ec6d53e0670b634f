"""The columns of the leaderboard, in one list: to add a column, add a line to `COLUMNS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from results import spending
from results.rows import Row
from results.statistics import Estimate

Value = str | int | float | Estimate | None


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
      name: its name in the CSV.
      doc: what it is, with its unit.
      value: a row's value; of an `Estimate` the CSV keeps the mean.
      heading: its heading in Markdown and the terminal; a column without one is in the CSV only.
      text: the value as people read it; never called with None, which is an empty cell.
      drop: on a terminal too narrow for all, columns go by this number, largest first; 0 never.
    """

    name: str
    doc: str
    value: Callable[[Row], Value]
    heading: str = ""
    text: Callable[[Any], str] = str
    drop: int = 0

    def cell(self, row: Row) -> str:
        """Returns the row's value as people read it; empty where there is none."""
        value = self.value(row)
        return "" if value is None else self.text(value)

    def number(self, row: Row) -> str:
        """Returns the row's value for the CSV: whole numbers exact, others to 8 digits."""
        value = self.value(row)
        value = value.mean if isinstance(value, Estimate) else value
        if isinstance(value, float):
            # Fewer digits than a double holds: another SciPy must not change the last one.
            whole = value.is_integer() and abs(value) < 2**53
            return str(int(value)) if whole else f"{value:.8g}"
        return "" if value is None else str(value)


def percent(score: Estimate) -> str:
    """Returns a fraction in percent with half the width of its interval: `97.22 ± 0.43`."""
    if score.low is None:
        return f"{100 * score.mean:.2f}"
    return f"{100 * score.mean:.2f} ± {50 * (score.high - score.low):.2f}"


def percent_mean(score: Estimate) -> str:
    """Returns a fraction in percent, without its interval: `99.81`."""
    return f"{100 * score.mean:.2f}"


def count(number: int) -> str:
    """Returns a count to three digits: `61.7k`, `11.2M`, `4.09G`."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{_three(number / size)}{suffix}"
    return str(number)


def amount(value: Estimate) -> str:
    """Returns a mean to three digits, or to the unit: `8.53`, `142`, `1,432`."""
    return _three(value.mean)


def _three(number: float) -> str:
    decimals = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:,.{decimals}f}"


def _part(estimate: Estimate | None, name: str) -> float | None:
    return None if estimate is None else getattr(estimate, name)


COLUMNS = (
    Column("rank", "place by mean top-1; ties share it", lambda r: r.rank, "rank"),
    Column("model", "name with its options", lambda r: r.model, "model"),
    Column("image_size", "height and width, pixels", lambda r: r.image_size, "size", drop=4),
    Column(
        "parameters",
        "trained numbers, auxiliary heads excluded",
        lambda r: r.agreed(lambda run: run.model.parameters),
        "params",
        count,
    ),
    Column(
        "macs",
        "multiply-accumulates of one forward pass of one image",
        lambda r: r.agreed(lambda run: run.model.macs),
        "MACs",
        count,
        drop=1,
    ),
    Column("seeds", "seeds that completed", lambda r: r.seeds, "seeds", drop=2),
    Column("top1", "test fraction", lambda r: r.metric("test", "top1"), "top-1 %", percent),
    Column("top1_low", "95% t-interval", lambda r: _part(r.metric("test", "top1"), "low")),
    Column("top1_high", "95% t-interval", lambda r: _part(r.metric("test", "top1"), "high")),
    Column("top5", "test fraction", lambda r: r.metric("test", "top5"), "top-5 %", percent_mean, 3),
    Column(
        "train_images_per_second",
        "images per second over all devices, waiting for input included",
        lambda r: r.speed(lambda run: run.throughput.train_images_per_second),
        "train img/s",
        amount,
        drop=6,
    ),
    Column(
        "infer_images_per_second",
        "images per second over all devices",
        lambda r: r.speed(lambda run: run.throughput.infer_images_per_second),
        "infer img/s",
        amount,
        drop=7,
    ),
    Column(
        "train_seconds",
        "seconds of training steps after compilation",
        lambda r: r.speed(lambda run: run.timings.train_seconds),
        "train s",
        amount,
        drop=5,
    ),
    Column("status", "completed, or how many runs failed and how", lambda r: r.status, "status"),
    Column("runs", "runs behind the row, failed ones included", lambda r: len(r.runs)),
    Column("top1_std", "sample", lambda r: _part(r.metric("test", "top1"), "std")),
    Column("top5_low", "95% t-interval", lambda r: _part(r.metric("test", "top5"), "low")),
    Column("top5_high", "95% t-interval", lambda r: _part(r.metric("test", "top5"), "high")),
    Column("test_loss", "nats", lambda r: r.metric("test", "loss")),
    Column("validation_top1", "fraction", lambda r: r.metric("validation", "top1")),
    Column("steps", "optimiser steps", lambda r: r.over_seeds(lambda run: run.budget.steps)),
    Column(
        "examples_spent",
        "training examples seen, repeats counted",
        lambda r: r.over_seeds(lambda run: run.budget.examples_spent),
    ),
    Column(
        "train_flops_spent",
        "floating-point operations",
        lambda r: r.over_seeds(lambda run: run.budget.train_flops_spent),
    ),
    Column(
        "compile_seconds",
        "seconds",
        lambda r: r.speed(lambda run: run.timings.compile_seconds),
    ),
    Column(
        "input_wait_seconds",
        "seconds of training spent waiting for a batch",
        lambda r: r.speed(lambda run: run.timings.input_wait_seconds),
    ),
    Column("total_seconds", "seconds", lambda r: r.speed(lambda run: run.timings.total_seconds)),
    Column("dataset", "name", lambda r: r.group.dataset),
    Column("dataset_version", "as TFDS writes it", lambda r: r.group.dataset_version),
    Column("test_split", "the split top1 is measured on", lambda r: r.group.test_split),
    Column("task", "name", lambda r: r.group.task),
    Column("budget_kind", "what is counted", lambda r: r.group.budget_kind),
    Column("budget_amount", "in the unit of budget_kind", lambda r: r.group.budget_amount),
    Column("recipe", "name", lambda r: r.group.recipe),
    Column("batch_size", "examples in a step", lambda r: r.runs[0].budget.batch_size),
    Column("device", "every device used", lambda r: " + ".join(r.devices)),
    Column("run_ids", "the runs behind the row", lambda r: " ".join(x.run_id for x in r.runs)),
    Column(
        "train_seconds_spent",
        "seconds of training, as a budget of seconds counts them",
        lambda r: r.speed(lambda run: run.budget.train_seconds_spent),
    ),
    Column(
        "budget_deviation",
        "(spent - allowed) / allowed, of the run furthest off",
        lambda r: spending.worst_deviation(r.completed),
    ),
    Column("tuning_trials", "trials each model was tuned with", lambda r: r.group.tuning_trials),
    Column(
        "input_wait_share",
        "fraction of train_seconds spent waiting for a batch",
        lambda r: r.speed(spending.input_wait_share),
    ),
    Column(
        "unreadable_examples",
        "examples of all splits that could not be read",
        lambda r: r.over_seeds(spending.unreadable_examples),
    ),
    Column("train_split", "the split that was trained on", lambda r: r.group.train_split),
)
