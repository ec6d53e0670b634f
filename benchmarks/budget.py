"""Turns a budget into a number of steps before training starts, so that schedules end where the run does.

A kind of budget is a function in `BUDGET_KINDS` from (amount, batch size) to steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.errors import BudgetError


@dataclass(frozen=True)
class Budget:
    """What a run may spend.

    Attributes:
      kind: `examples`.
      amount: in the kind's unit.
      batch_size: examples in a step, over all devices.
      steps: what that comes to.
    """

    kind: str
    amount: float
    batch_size: int
    steps: int

    @property
    def examples(self) -> int:
        """Training examples that all steps see, repeats counted."""
        return self.steps * self.batch_size


def _steps_for_examples(amount: float, batch_size: int) -> int:
    return int(amount // batch_size)


BUDGET_KINDS: dict[str, Callable[[float, int], int]] = {"examples": _steps_for_examples}


def plan(kind: str, amount: float, batch_size: int) -> Budget:
    """Returns the budget with its steps: as many whole batches as it buys, never more.

    Raises:
      BudgetError: it does not buy one.
    """
    steps = BUDGET_KINDS[kind](amount, batch_size)
    if steps < 1:
        raise BudgetError(f"a budget of {amount:g} {kind} is less than one batch of {batch_size}.")
    return Budget(kind, amount, batch_size, steps)


def train_flops(macs: int, examples: int) -> int:
    """Returns training FLOPs: 2 for each MAC, three times over (forward once, backward twice), for each example."""
    return 2 * 3 * macs * examples
