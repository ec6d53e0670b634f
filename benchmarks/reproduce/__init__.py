"""Running a record again, and comparing what comes out."""

from benchmarks.reproduce.run import reproduce

__all__ = ["reproduce"]
