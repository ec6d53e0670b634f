"""Labels for pictures, with confidences, by trained weights."""

from benchmarks.recognize.recognizer import Prediction, Recognizer

__all__ = ["Prediction", "Recognizer"]
