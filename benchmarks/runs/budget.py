"""Turns a budget into a number of steps before training starts, so that schedules end where the run does.

Only a budget of seconds shows at its end how many it buys; see `runs.pace`.

A kind of budget is a function in `BUDGET_KINDS` from (amount, what a step costs) to a number of steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.errors import BudgetError
from isobudget.wording import exact


@dataclass(frozen=True)
class Costs:
    """What a run's steps cost.

    Attributes:
      batch_size: examples in a step, over all devices.
      train_examples: in an epoch.
      train_macs: multiply-accumulates of training with one example, forward and backward, auxiliary heads included, on
        average if the image size changes; None if no budget needs it.
    """

    batch_size: int
    train_examples: int
    train_macs: int | None = None

    @property
    def macs(self) -> int:
        """The multiply-accumulates, if they were counted.

        Raises:
          ValueError: no budget needed them.
        """
        if self.train_macs is None:
            raise ValueError("the multiply-accumulates of this run were not counted")
        return self.train_macs


@dataclass(frozen=True)
class Budget:
    """What a run may spend.

    Attributes:
      kind: a name in `BUDGET_KINDS`.
      amount: in the kind's unit: examples, epochs, training FLOPs or seconds of training.
      costs: what a step costs.
      steps: how many the amount buys; None before they are known, which those of seconds are at the end.
    """

    kind: str
    amount: float
    costs: Costs
    steps: int | None

    @property
    def num_steps(self) -> int:
        """The steps, if they are known.

        Raises:
          ValueError: they are not known yet.
        """
        if self.steps is None:
            raise ValueError(f"the steps of a budget of {self.kind} are known at its end")
        return self.steps

    @property
    def num_examples(self) -> int:
        """Training examples that all steps see, repeats counted; raises as `num_steps`."""
        return self.num_steps * self.costs.batch_size

    def spent(self, steps: int, seconds: float) -> float:
        """Returns what this many steps and seconds amount to in the budget's unit."""
        examples = steps * self.costs.batch_size
        if self.kind == "flops":
            return train_flops(self.costs.macs, examples)
        return {
            "examples": examples,
            "epochs": examples / self.costs.train_examples,
            "seconds": seconds,
        }[self.kind]


def _steps_for_examples(amount: float, costs: Costs) -> int:
    return int(amount // costs.batch_size)


def _steps_for_epochs(amount: float, costs: Costs) -> int:
    # A rounding error must not cost a step: 0.1 epochs of 1280 examples are 4 batches of 32.
    return int(amount * costs.train_examples / costs.batch_size + 1e-9)


def _steps_for_flops(amount: float, costs: Costs) -> int:
    return int(amount // train_flops(costs.macs, costs.batch_size))


def _steps_for_seconds(amount: float, costs: Costs) -> int | None:
    return None


BUDGET_KINDS: dict[str, Callable[[float, Costs], int | None]] = {
    "examples": _steps_for_examples,
    "epochs": _steps_for_epochs,
    "flops": _steps_for_flops,
    "seconds": _steps_for_seconds,
}


def plan(kind: str, amount: float, costs: Costs) -> Budget:
    """Returns the budget with its steps: as many whole batches as it buys.

    Raises:
      BudgetError: it does not buy a single one.
    """
    steps = BUDGET_KINDS[kind](amount, costs)
    if steps is not None and steps < 1:
        raise BudgetError(
            f"a budget of {exact(amount)} {kind} is less than one batch of {costs.batch_size}."
        )
    return Budget(kind, amount, costs, steps)


def train_flops(train_macs: int, examples: int) -> int:
    """Returns training FLOPs: 2 for each MAC, of forward and backward passes, for each example."""
    return 2 * train_macs * examples
