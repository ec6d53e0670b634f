"""Labels with confidences for pictures, by trained weights."""

from benchmarks.recognize.recognizer import Prediction, Recognizer

__all__ = ["Prediction", "Recognizer"]
