"""The mistakes of users: a command tells each in one sentence and exits with status 2; a traceback is for bugs."""


class UserError(ValueError):
    """Something that its user can mend; the message is one sentence on what is wrong and what would be right.

    Attributes:
      status: the exit status of a command that it ends: 2, or 1 where work had begun.
    """

    status = 2


class PluginError(UserError):
    """A plug-in that is missing, fails on import, or registers a name that is taken."""
