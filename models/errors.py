"""The error of this package that its caller can mend."""

from isobudget.errors import UserError


class ModelError(UserError):
    """A model's name, option, input or weights that cannot be, said in one sentence."""
