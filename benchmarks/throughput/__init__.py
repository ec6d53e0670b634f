"""The speed of models in training and inference, and of reading data."""

from benchmarks.throughput.model_speed import Speed, measure

__all__ = ["Speed", "measure"]
