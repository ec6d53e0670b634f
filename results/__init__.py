"""Results: run records in, statistics and tables out. Knows nothing of models, data or JAX."""

from isobudget.errors import UserError


class RecordError(UserError):
    """A record, or a folder of records, that cannot be used; the message is one clear sentence."""
