"""Level b: what a run spent, against its configuration, its log and its own clocks."""

import datetime
import math
from collections.abc import Iterator
from typing import Any

from results.audit.measured import number
from results.audit.verdicts import CONSISTENT, CONTRADICTED, NOT_CHECKED, Claim, agree, text
from results.bundles.runs import SubmittedRun
from results.records import spending
from results.records.schema import RunRecord

_LEVEL = "b"
# Beyond what a core of any processor does in float32: two units of 16 lanes, a multiplication and an addition, 8 GHz.
_MOST_FLOPS_OF_A_CORE = 2 * 16 * 2 * 8e9
# Seconds are those of one clock, read at other moments; the times of day are whole seconds.
_SLACK_SECONDS, _SLACK = 30.0, 0.25
_TRAIN_SECONDS = "train_seconds"


def claims(run: SubmittedRun) -> Iterator[Claim]:
    """Yields a claim for each number that follows from others of the record, the log and the looks at the clock."""
    record = run.record
    yield from _as_configured(record)
    if record.status != "completed":
        return
    yield from _budget(record)
    yield from _clock(record)
    yield from _log(run)
    yield from _progress(run)


def _as_configured(record: RunRecord) -> Iterator[Claim]:
    """Yields whether the record says of itself what its configuration says."""
    budget = record.config.get("budget")
    configured = budget if isinstance(budget, dict) else {}
    # With the recipe `paper`, a field may have been set after the record's was known, in older records.
    pairs = (
        ("seed", record.seed, record.config.get("seed")),
        ("recipe", record.recipe, record.config.get("recipe")),
        ("model", record.label, record.config.get("model")),
        ("budget.kind", record.budget.kind, configured.get("kind")),
        ("budget.amount", record.budget.amount, configured.get("amount")),
        ("budget.batch_size", record.budget.batch_size, record.config.get("batch_size")),
        ("dataset.task", record.dataset.task, record.config.get("task")),
        ("dataset.train_split", record.dataset.train_split, record.config.get("train_split")),
        ("dataset.test_split", record.dataset.test_split, record.config.get("test_split")),
        (
            "dataset.validation_split",
            record.dataset.validation_split,
            record.config.get("validation_split"),
        ),
    )
    differing = [
        f"{name} is {text(said)} and its configuration says {text(configured)}"
        for name, said, configured in pairs
        if configured is not None and said != configured
    ]
    if differing:
        yield Claim(_LEVEL, "config", CONTRADICTED, f"the record's {differing[0]}.")
    else:
        yield Claim(_LEVEL, "config", CONSISTENT, "the record says what its configuration says.")
    if record.dataset.test_split in (record.dataset.train_split, record.dataset.validation_split):
        reason = f"the test split, {record.dataset.test_split}, is trained on or chosen by."
        yield Claim(_LEVEL, "dataset.test_split", CONTRADICTED, reason)


def _budget(record: RunRecord) -> Iterator[Claim]:
    budget = record.budget
    steps, examples = budget.steps, budget.examples_spent
    if steps is None or examples is None:
        yield Claim(_LEVEL, "budget.steps", NOT_CHECKED, "the record does not say them.")
        return
    counted = steps * budget.batch_size
    yield agree(_LEVEL, "budget.examples_spent", examples, counted, "its steps")
    train = record.dataset.train_examples
    allowed: float | None = None
    if budget.kind == "examples":
        allowed = budget.amount // budget.batch_size
    elif budget.kind == "epochs" and train:
        allowed = int(budget.amount * train / budget.batch_size + 1e-9)
    elif budget.kind == "flops" and budget.train_flops_spent and examples:
        allowed = int(budget.amount // (budget.train_flops_spent / examples * budget.batch_size))
    if allowed is not None:
        yield agree(_LEVEL, "budget.steps", float(steps), float(allowed), "its budget")
    off = spending.deviation(record)
    if off is None:
        yield Claim(_LEVEL, "budget", NOT_CHECKED, f"nothing says how many {budget.kind} it spent.")
    elif off > spending.TOLERANCE and not _ends_with_a_step(record):
        reason = f"it spent {off:.0%} more {budget.kind} than its budget of {text(budget.amount)}."
        yield Claim(_LEVEL, "budget", CONTRADICTED, reason)
    else:
        reason = f"it spent {1 + off:.1%} of its {text(budget.amount)} {budget.kind}."
        yield Claim(_LEVEL, "budget", CONSISTENT, reason)


def _ends_with_a_step(record: RunRecord) -> bool:
    """Returns whether a budget of seconds was overrun by no more than the step that reached it, or two."""
    budget = record.budget
    spent = budget.train_seconds_spent
    if budget.kind != "seconds" or not spent or not budget.steps:
        return False
    return spent - budget.amount <= 2 * spent / budget.steps


def _clock(record: RunRecord) -> Iterator[Claim]:
    """Yields whether the seconds that a run counted agree with one another, and with what a machine can do."""
    timings, spent = record.timings, record.budget.train_seconds_spent
    trained, total = timings.train_seconds, timings.total_seconds
    if trained is None or spent is None:
        yield Claim(_LEVEL, "timings", NOT_CHECKED, "the record has no seconds of training.")
        return
    # What is trained is evaluated later on where its evaluation was configured anew.
    yield agree(_LEVEL, "budget.train_seconds_spent", spent, trained, "its timings")
    speed, examples = record.throughput.train_images_per_second, record.budget.examples_spent
    if speed is not None and examples and spent > 0:
        basis = "its examples and seconds"
        yield agree(_LEVEL, "throughput.train_images_per_second", speed, examples / spent, basis)
    parts = sum(
        each or 0.0 for each in (trained, timings.compile_seconds, timings.evaluation_seconds)
    )
    if total is not None and parts > total * 1.01 + 1:
        reason = f"its parts take {parts:.1f} seconds, and all of the run {total:.1f}."
        yield Claim(_LEVEL, "timings.total_seconds", CONTRADICTED, reason)
    elif (timings.input_wait_seconds or 0) > trained * 1.01 + 1:
        reason = "it waited longer for input than it trained."
        yield Claim(_LEVEL, "timings.input_wait_seconds", CONTRADICTED, reason)
    else:
        yield _times_of_day(record, total)
    yield from _possible_speed(record, spent)


def _times_of_day(record: RunRecord, total: float | None) -> Claim:
    name = "timings.total_seconds"
    began, ended = map(datetime.datetime.fromisoformat, (record.started_at, record.finished_at))
    passed = (ended - began).total_seconds()
    if total is None:
        return Claim(_LEVEL, name, NOT_CHECKED, "the record does not say it.")
    if passed < -1:
        return Claim(_LEVEL, name, CONTRADICTED, "it ended before it began.")
    if passed > total * (1 + _SLACK) + _SLACK_SECONDS:
        reason = (
            f"{passed:.0f} seconds passed between its start and its end, and its clock counted {total:.0f}: it was"
            " evaluated again later, or its clock ran slow. Level e compares speeds."
        )
        return Claim(_LEVEL, name, NOT_CHECKED, reason)
    return Claim(_LEVEL, name, CONSISTENT, f"{total:.1f} seconds, as its start and end allow.")


def _possible_speed(record: RunRecord, seconds: float) -> Iterator[Claim]:
    flops, hardware = record.budget.train_flops_spent, record.hardware
    devices = hardware.get("device_count") or 1
    most = hardware.get("peak_flops_per_second")
    if most is None and hardware.get("platform") == "cpu" and hardware.get("cpu_cores"):
        most, devices = _MOST_FLOPS_OF_A_CORE * hardware["cpu_cores"], 1
    if not flops or most is None:
        return
    rate = flops / seconds if seconds > 0 else math.inf
    name = "speed"
    if rate > most * devices:
        reason = (
            f"{rate:.3g} FLOPs a second are more than the {most * devices:.3g} that its hardware can do: its clock ran"
            " slow, or its FLOPs are not those of its model."
        )
        yield Claim(_LEVEL, name, CONTRADICTED, reason)
    else:
        yield Claim(
            _LEVEL, name, CONSISTENT, f"{rate:.3g} FLOPs a second, which its hardware can do."
        )


def _log(run: SubmittedRun) -> Iterator[Claim]:
    """Yields whether the log is one of this run: its steps, and seconds that only grow."""
    training = [line for line in run.log if "train/loss" in line]
    if not training:
        yield Claim(_LEVEL, "log", NOT_CHECKED, "there is no log of the training.")
        return
    budget = run.record.budget
    problem = _problem_of_log(training, budget.steps, budget.train_seconds_spent, budget.batch_size)
    if not problem and _steps(run.log) != sorted(_steps(run.log)):
        problem = "its steps are out of order."
    if problem:
        yield Claim(_LEVEL, "log", CONTRADICTED, problem)
    else:
        last = int(number(training[-1]["step"]))
        yield Claim(_LEVEL, "log", CONSISTENT, f"it goes to step {last:,}, as the record does.")


def _problem_of_log(
    training: list[dict[str, Any]], steps: int | None, spent: float | None, batch_size: int
) -> str:
    earlier_step, earlier_seconds = 0.0, 0.0
    for line in training:
        step, seconds = number(line.get("step")), number(line.get(_TRAIN_SECONDS, math.nan))
        if not step > earlier_step:
            return "its steps do not go up."
        speed = number(line.get("train/images_per_second", math.nan))
        if not math.isnan(seconds):
            if seconds < earlier_seconds:
                return f"its seconds go back at step {step:.0f}."
            if seconds > 0 and not math.isnan(speed):
                counted = step * batch_size / seconds
                if not math.isclose(speed, counted, rel_tol=1e-3):
                    return (
                        f"it says {speed:.4g} images a second at step {step:.0f}, where its steps and seconds give"
                        f" {counted:.4g}."
                    )
            earlier_seconds = seconds
        earlier_step = step
    if steps is not None and earlier_step != steps:
        return f"it ends at step {earlier_step:.0f}, and the record says {steps:,} steps."
    if spent is not None and earlier_seconds > spent * 1.001 + 0.01:
        return f"it ends after {earlier_seconds:.2f} seconds, and the record says {spent:.2f}."
    if spent is not None and earlier_seconds and earlier_seconds < 0.5 * spent - 1:
        return f"it ends after {earlier_seconds:.2f} seconds, and the record says {spent:.2f}."
    return ""


def _steps(log: list[dict[str, Any]]) -> list[float]:
    return [number(line.get("step", math.nan)) for line in log]


def _progress(run: SubmittedRun) -> Iterator[Claim]:
    """Yields whether the looks at the clock of a budget of seconds agree with the rest."""
    record = run.record
    if record.budget.kind != "seconds":
        return
    if not run.progress:
        yield Claim(_LEVEL, "progress", NOT_CHECKED, "there is no progress.jsonl.")
        return
    problem = _problem_of_progress(run)
    if problem:
        yield Claim(_LEVEL, "progress", CONTRADICTED, problem)
    else:
        reason = f"its {len(run.progress):,} looks at the clock agree with the log and the budget."
        yield Claim(_LEVEL, "progress", CONSISTENT, reason)


def _problem_of_progress(run: SubmittedRun) -> str:
    budget = run.record.budget
    looks = [(number(each.get("step")), number(each.get("progress"))) for each in run.progress]
    earlier = (-1.0, -1.0)
    for step, share in looks:
        if not (step > earlier[0] and share >= earlier[1]):
            return f"its looks at the clock go back at step {step:.0f}."
        earlier = step, share
    last_step, last_share = looks[-1]
    if budget.steps is not None and last_step >= budget.steps:
        return f"it looks at the clock at step {last_step:.0f} of {budget.steps:,}."
    if last_share >= 1:
        return "it goes on after its budget was spent."
    seconds = {
        number(each["step"]): number(each.get(_TRAIN_SECONDS, math.nan))
        for each in run.log
        if "step" in each and _TRAIN_SECONDS in each
    }
    at = 0
    for step, counted in sorted(seconds.items()):
        while at + 1 < len(looks) and looks[at + 1][0] <= step:
            at += 1
        if looks[at][0] <= step and counted < looks[at][1] * budget.amount * 0.999 - 0.01:
            return f"its clock says more at step {step:.0f} than its log."
    spent = budget.train_seconds_spent
    if spent is not None and spent < last_share * budget.amount * 0.999:
        return "its clock says more than the seconds that it spent."
    return ""
