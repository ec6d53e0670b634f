"""What a run is told: its fields, what follows from them, and how they are stored."""

from benchmarks.config.fields import PUBLISHED, SMALLEST, default_config

__all__ = ["PUBLISHED", "SMALLEST", "default_config"]
