"""One run: trained under its budget, evaluated and recorded."""

from isobudget import collector

with collector.paused():
    from benchmarks.train.run import train_and_evaluate

__all__ = ["train_and_evaluate"]
