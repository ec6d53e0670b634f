"""Two leaderboards compared: what changed in rank, in accuracy (with its interval) and in cost."""

from results.compare.comparison import Change, Comparison, compare
from results.compare.load import load
from results.compare.report import to_json, to_markdown

__all__ = ["Change", "Comparison", "compare", "load", "to_json", "to_markdown"]
