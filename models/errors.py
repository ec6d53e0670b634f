"""The error that a caller of this room can mend."""


class ModelError(ValueError):
    """A model's name, option, input or weights that cannot be, said in one sentence."""
