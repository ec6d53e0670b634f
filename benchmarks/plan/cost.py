"""What a suite costs on a target: its budget and its seeds, at the bounds of its steps."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.config.setup import Setup
from benchmarks.plan.data import Sizes
from benchmarks.plan.figures import Figures
from benchmarks.plan.targets import Target
from benchmarks.runs import budget
from benchmarks.runs.plan import count_train_macs

# Of the bound's speed that a step reaches: on an H200, ResNet-50's training step of 256 pictures, whose bound is 15.7
# ms by the data sheet, took 33.0 ms (docs/accelerators.md, with other models).
EFFICIENCY = 0.47


@dataclasses.dataclass(frozen=True)
class Rate:
    """What time costs.

    Attributes:
      price: US dollars for one device and hour.
      efficiency: the part of the bounds' speed that steps are thought to reach, above 0.
    """

    price: float
    efficiency: float = EFFICIENCY


@dataclasses.dataclass(frozen=True)
class Cost:
    """What all runs of one model cost; hours are those of the whole target.

    Attributes:
      runs: how many there are, one for each seed.
      steps: of one run; None for a budget of seconds, whose steps only the run can tell.
      hours: of all runs, if each step takes no longer than its bound; None if a step has no bound.
      dollars: what they cost.
      likely_hours: if steps reach a stated part of that speed.
      likely_dollars: what they cost then.
    """

    model: str
    runs: int
    steps: int | None
    hours: float | None
    dollars: float | None
    likely_hours: float | None
    likely_dollars: float | None


def of_suite(
    setups: Sequence[Setup],
    figures: Iterable[Figures],
    sizes: Sizes,
    target: Target,
    seeds: int,
    rate: Rate,
) -> list[Cost]:
    """Returns the cost of each model's runs: training and one evaluation, without compiling or waiting for data.

    Args:
      setups: the models'.
      figures: of their steps.
      sizes: of the dataset.
      target: the devices.
      seeds: how many runs each model has.
      rate: what time costs.
    """
    by_step = {(each.model, each.step, each.image_size): each for each in figures}
    return [_cost(each, by_step, sizes, target, seeds, rate) for each in setups]


def _cost(
    setup: Setup,
    by_step: Mapping[tuple[str, str, int], Figures],
    sizes: Sizes,
    target: Target,
    seeds: int,
    rate: Rate,
) -> Cost:
    config = setup.config
    costs = budget.Costs(config.batch_size, sizes.train_examples, count_train_macs(setup))
    planned = budget.plan(config.budget.kind, config.budget.amount, costs)
    steps = [by_step[setup.model, "training", side] for side in setup.train_sizes]
    bounds = [each.bound_ms for each in steps if each.bound_ms is not None]
    answers = by_step[setup.model, "evaluation", setup.eval_image_size].images_per_second
    if len(bounds) < len(steps) or answers is None:
        return Cost(setup.model, seeds, planned.steps, None, None, None, None)
    computing = sizes.evaluated_examples / answers
    computing += (planned.steps or 0) * sum(bounds) / len(bounds) / 1e3
    # A budget of seconds is spent whatever the speed.
    given = config.budget.amount if planned.steps is None else 0.0
    hours, likely = (
        seeds * (given + seconds) / 3600 for seconds in (computing, computing / rate.efficiency)
    )
    dollars, likely_dollars = (each * target.devices * rate.price for each in (hours, likely))
    return Cost(setup.model, seeds, planned.steps, hours, dollars, likely, likely_dollars)
