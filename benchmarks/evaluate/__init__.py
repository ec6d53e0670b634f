"""Evaluation of trained or published weights on any split."""

from benchmarks.evaluate.report import Evaluation, describe
from benchmarks.evaluate.run import evaluate_run, evaluate_weights

__all__ = ["Evaluation", "describe", "evaluate_run", "evaluate_weights"]
