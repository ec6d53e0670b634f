"""A calibrated run is explained with the confidences that it recognizes with."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.calibrate import calibrate
from benchmarks.explain import explain
from benchmarks.inference import trained_model
from benchmarks.recognize import Recognizer


def test_explain_and_recognize_show_the_same_confidences(copied_run, tmp_path):
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    before = trained_model.from_run(copied_run)
    assert calibrate(copied_run).temperature != pytest.approx(1.0, abs=0.05)
    after = trained_model.from_run(copied_run)
    shown = [
        explain(trained, path, channels=1, pictures=1, examples=0, steps=1)
        for trained in (before, after)
    ]
    assert shown[0].confidences[0] != pytest.approx(shown[1].confidences[0], abs=1e-3)
    for trained, explanation in zip((before, after), shown, strict=True):
        prediction = Recognizer(trained).recognize([path])
        top = prediction.top(0, 5)
        assert explanation.labels == tuple(label for label, _ in top)
        np.testing.assert_allclose(explanation.confidences, [value for _, value in top], rtol=1e-5)
        assert explanation.decision == prediction.decisions[0]
