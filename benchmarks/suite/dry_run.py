"""What a suite would do: its runs, what each spends, and about how long that takes here."""

import dataclasses
from collections import defaultdict

from rich import box
from rich.console import Console
from rich.table import Table

import models
from benchmarks.errors import first_line
from benchmarks.runs import budget
from benchmarks.runs.plan import Run, train_macs
from benchmarks.runs.record import finished_record
from benchmarks.throughput.model_speed import measure
from results.tables.cells import count


@dataclasses.dataclass(frozen=True)
class Line:
    """The runs of one model; what is spent is of one run, None where that shows at its start only.

    Attributes:
      runs: one a seed.
      left: of these, not completed.
      parameters: auxiliary heads excluded.
      seconds: about, on this machine; None where not measured.
      problem: why it was not.
    """

    model: str
    image_size: int
    parameters: int
    runs: int
    left: int
    steps: int | None
    examples: int | None
    train_flops: float | None
    seconds: float | None = None
    problem: str = ""


def lines(planned: list[Run], estimate: bool) -> list[Line]:
    """Returns a line a model, in the order of the plan; with `estimate` each model is compiled and timed."""
    by_model = defaultdict(list)
    for each in planned:
        by_model[models.label(*models.parse(each.config.model))].append(each)
    return [_line(label, same, estimate) for label, same in by_model.items()]


def show(planned: list[Run], estimate: bool, console: Console | None = None) -> None:
    """Prints the plan as a table, in which steps to seconds are those of one run, and its sums."""
    console = console or Console()
    found = lines(planned, estimate)
    table = Table("model", box=box.SIMPLE_HEAD)
    table.columns[0].overflow = "fold"
    head = ["size", "params", "runs", "left", "steps", "examples", "FLOPs"]
    for heading in [*head, *(["about s"] if estimate else [])]:
        table.add_column(heading, justify="right", no_wrap=True)
    for line in found:
        known = line.steps is not None
        table.add_row(
            line.model,
            str(line.image_size),
            count(line.parameters),
            str(line.runs),
            str(line.left),
            f"{line.steps:,}" if known else "at start",
            f"{line.examples:,}" if known else "",
            f"{line.train_flops:.3g}" if known else "",
            *([] if not estimate else ["" if line.seconds is None else f"{line.seconds:,.0f}"]),
        )
    console.print(table)
    if any(line.steps is None for line in found):
        console.print("Steps are calibrated at the start of each run.")
    for line in found:
        if line.problem:
            console.print(
                f"{line.model} cannot be timed: {line.problem}", markup=False, soft_wrap=True
            )
    console.print(_sums(found), markup=False, soft_wrap=True)


def _sums(found: list[Line]) -> str:
    left = sum(line.left for line in found)
    parts = [f"{sum(line.runs for line in found)} runs, {left} left to do"]
    if all(line.steps is not None for line in found):
        parts.append(f"{sum(line.left * line.examples for line in found):,} examples")
        parts.append(f"{sum(line.left * line.train_flops for line in found):.3g} training FLOPs")
    timed = [line for line in found if line.seconds is not None]
    if timed and len(timed) == len(found):
        seconds = sum(line.left * line.seconds for line in timed)
        parts.append(f"about {seconds:,.0f} s on this machine, not counting waiting for input")
    return "; ".join(parts)


def _line(label: str, same: list[Run], estimate: bool) -> Line:
    first = same[0]
    abstract = models.create_abstract(first.config.model, first.num_logits)
    examples = first.budget.examples
    macs = train_macs(first.config, first.num_logits)
    line = Line(
        model=label,
        image_size=first.image_size,
        parameters=models.count_parameters(abstract) - models.count_auxiliary_parameters(abstract),
        runs=len(same),
        left=sum(finished_record(each.workdir) is None for each in same),
        steps=first.budget.steps,
        examples=examples,
        train_flops=None if examples is None else float(budget.train_flops(macs, examples)),
    )
    if not estimate:
        return line
    try:
        return dataclasses.replace(line, seconds=_seconds(first))
    except (
        Exception
    ) as error:  # a model that does not compile, or has no room: the others are timed
        return dataclasses.replace(line, problem=first_line(error))


def _seconds(run: Run) -> float:
    """Returns about how long one run takes: compiling, training and evaluating, on synthetic data."""
    config = run.config
    speed = measure(config, run.num_logits)
    splits = filter(None, (config.validation_split, config.test_split))
    evaluated = sum(run.dataset.num_examples(split) for split in splits)
    training = (
        run.budget.amount
        if run.budget.kind == "seconds"
        else run.budget.examples / speed.train_images_per_second
    )
    return speed.compile_seconds + training + evaluated / speed.infer_images_per_second
