"""What can go wrong with a run: users' mistakes, each explained in one sentence, and training that diverges."""

from isobudget.errors import UserError


class ConfigError(UserError):
    """A configuration that cannot be run, explained in one sentence."""


class BudgetError(UserError):
    """A budget that cannot be spent, explained in one sentence."""


class CheckpointError(UserError):
    """Weights or a checkpoint that cannot be read, explained in one sentence."""


class DivergedError(ArithmeticError):
    """Training reached a loss or a gradient that is not finite.

    Attributes:
      step: the first such step, counted from 1.
      loss: its loss.
      gradient_norm: its gradient's global norm.
    """

    def __init__(self, step: int, loss: float, gradient_norm: float):
        super().__init__(f"loss {loss} with gradient norm {gradient_norm} at step {step}")
        self.step = step
        self.loss = loss
        self.gradient_norm = gradient_norm


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, at most 200 characters; its class if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
