"""Bundles: runs as people hand them to one another, written without a trace of the machine, and read without trust."""

from results.bundles.runs import Evaluated, SubmittedRun, read_run
from results.bundles.sources import Source, discover, open_source

__all__ = ["Evaluated", "Source", "SubmittedRun", "discover", "open_source", "read_run"]
