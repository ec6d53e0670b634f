"""What a trained network has learned, stage by stage."""

from benchmarks.explain.explanation import Channel, Explanation, Stage, explain

__all__ = ["Channel", "Explanation", "Stage", "explain"]
