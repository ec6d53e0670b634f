"""How fast models train and infer, and how fast data is read."""

from benchmarks.throughput.model_speed import Speed, measure

__all__ = ["Speed", "measure"]
