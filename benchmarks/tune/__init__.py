"""Equal tuning: the same points are tried for every model."""

from benchmarks.tune.run import run
from benchmarks.tune.search import Allowance

__all__ = ["Allowance", "run"]
