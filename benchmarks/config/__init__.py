"""The configuration of a run: its fields, what follows from them, and how it is stored."""

from benchmarks.config.fields import PUBLISHED, SMALLEST, default_config

__all__ = ["PUBLISHED", "SMALLEST", "default_config"]
