"""Mistakes of the harness's users: each is told in one sentence, and the command ends with status 2."""

from isobudget.errors import UserError


class ConfigError(UserError):
    """A configuration that cannot be run, said in one sentence."""


class BudgetError(UserError):
    """A budget that cannot be spent, said in one sentence."""


class CheckpointError(UserError):
    """Weights or a checkpoint that cannot be read, said in one sentence."""
