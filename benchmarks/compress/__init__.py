"""A trained model made smaller as Deep Compression does it: pruned, retrained, and of few values in short codes."""

from benchmarks.compress.run import Stage, compress

__all__ = ["Stage", "compress"]
