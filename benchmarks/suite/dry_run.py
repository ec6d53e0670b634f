"""The plan of a suite: its runs, what each spends, and about how long that takes here."""

import dataclasses
from collections import defaultdict

from rich.console import Console

import models
from benchmarks.errors import first_line
from benchmarks.runs import budget
from benchmarks.runs.claim import is_evaluated_otherwise
from benchmarks.runs.plan import Run
from benchmarks.runs.record import finished_record
from benchmarks.throughput.model_speed import measure
from isobudget import terminal
from results.tables.cells import count


@dataclasses.dataclass(frozen=True)
class Line:
    """The runs of one model; what is spent is given for one run, and is None if only its start can tell.

    Attributes:
      runs: how many there are, one for each seed.
      left: how many of them are not completed.
      parameters: auxiliary heads excluded.
      seconds: about how many a run takes on this machine; None if not measured.
      problem: why they could not be measured.
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
    """Returns a line for each model, in the order of the plan; with `estimate`, each model is compiled and timed."""
    by_model = defaultdict(list)
    for each in planned:
        by_model[each.setup.model].append(each)
    return [_line(label, same, estimate) for label, same in by_model.items()]


def show(planned: list[Run], estimate: bool, console: Console | None = None) -> None:
    """Prints the plan as a table, whose steps, examples, FLOPs and seconds are those of one run, and its sums."""
    console = console or terminal.console()
    by_model = lines(planned, estimate)
    headings = ["model", "size", "params", "runs", "left", "steps", "examples", "FLOPs"]
    terminal.print_table(
        console,
        terminal.columns([*headings, "about s"] if estimate else headings),
        [_cells(line, estimate) for line in by_model],
    )
    if any(line.steps is None for line in by_model):
        console.print(
            "A run goes on until its seconds are spent; how many steps that makes is known at its end."
        )
    for line in by_model:
        if line.problem:
            console.print(
                f"{line.model} cannot be timed: {line.problem}", markup=False, soft_wrap=True
            )
    console.print(_sums(by_model), markup=False, soft_wrap=True)


def _cells(line: Line, estimate: bool) -> tuple[str, ...]:
    cells = (
        line.model,
        str(line.image_size),
        count(line.parameters),
        str(line.runs),
        str(line.left),
        "measured" if line.steps is None else f"{line.steps:,}",
        "" if line.examples is None else f"{line.examples:,}",
        "" if line.train_flops is None else f"{line.train_flops:.3g}",
    )
    seconds = "" if line.seconds is None else f"{line.seconds:,.0f}"
    return (*cells, seconds) if estimate else cells


def _sums(by_model: list[Line]) -> str:
    left = sum(line.left for line in by_model)
    parts = [f"{sum(line.runs for line in by_model)} runs, {left} left to do"]
    examples = [line.left * line.examples for line in by_model if line.examples is not None]
    flops = [line.left * line.train_flops for line in by_model if line.train_flops is not None]
    if len(examples) == len(flops) == len(by_model):
        parts.append(f"{sum(examples):,} examples")
        parts.append(f"{sum(flops):.3g} training FLOPs")
    seconds = [line.left * line.seconds for line in by_model if line.seconds is not None]
    if seconds and len(seconds) == len(by_model):
        parts.append(f"about {sum(seconds):,.0f} s on this machine, not counting waiting for input")
    return "; ".join(parts)


def _line(label: str, same: list[Run], estimate: bool) -> Line:
    first = same[0]
    abstract = models.create_abstract(first.config.model, first.setup.num_logits)
    steps = first.budget.steps
    examples = None if steps is None else first.budget.num_examples
    flops = None if examples is None else float(budget.train_flops(first.train_macs, examples))
    line = Line(
        model=label,
        image_size=first.setup.image_size,
        parameters=models.count_parameters(abstract) - models.count_auxiliary_parameters(abstract),
        runs=len(same),
        left=sum(not _is_done(each) for each in same),
        steps=steps,
        examples=examples,
        train_flops=flops,
    )
    if not estimate:
        return line
    try:
        return dataclasses.replace(line, seconds=_seconds(first))
    except (
        Exception
    ) as error:  # it does not compile or is too large: the others are timed all the same
        return dataclasses.replace(line, problem=first_line(error))


def _is_done(run: Run) -> bool:
    """Returns whether a run completed, and is evaluated as its configuration says."""
    return finished_record(run.workdir) is not None and not is_evaluated_otherwise(
        run.workdir, run.config
    )


def _seconds(run: Run) -> float:
    """Returns about how long one run takes: compiling, training and evaluating, on synthetic data."""
    config = run.config
    speed = measure(run.setup)
    splits = filter(None, (config.validation_split, config.test_split))
    evaluated = sum(run.dataset.num_examples(split) for split in splits)
    training = (
        run.budget.amount
        if run.budget.kind == "seconds"
        else run.budget.num_examples / speed.train_images_per_second
    )
    return speed.compile_seconds + training + evaluated / speed.infer_images_per_second
