"""The suite: every model trained under one budget, and the leaderboard."""

from benchmarks.suite.run import plan, run

__all__ = ["plan", "run"]
