"""Metrics of predictions, against values worked out by hand."""

import numpy as np
import pytest

from benchmarks import metrics


def test_top1_and_top5_count_labels_with_few_classes_ahead():
    found = metrics.single_label(
        {
            "rank": np.array([0, 0, 1, 4, 5]),
            "loss": np.array([0.1, 0.2, 0.3, 0.4, 1.0], np.float32),
            "confidence": np.full(5, 0.5, np.float32),
        }
    )
    assert (found["top1"], found["top5"], found["examples"]) == (0.4, 0.8, 5)
    assert found["loss"] == pytest.approx(0.4)


def test_calibration_error_is_the_gap_of_each_bin_by_its_examples():
    confidence = np.array([0.95, 0.97, 0.99, 0.61, 0.63, 0.2])
    correct = np.array([True, True, False, True, True, False])
    # Bins of 1/15: {0.95, 0.97, 0.99}, {0.61, 0.63}, {0.2}.
    by_hand = (abs(2 - 2.91) + abs(2 - 1.24) + 0.2) / 6
    assert metrics.expected_calibration_error(confidence, correct) == pytest.approx(by_hand)


def test_perfect_confidence_has_no_calibration_error_and_nan_shows():
    certain = np.ones(4)
    assert metrics.expected_calibration_error(certain, certain > 0) == 0
    certain[0] = np.nan
    assert np.isnan(metrics.expected_calibration_error(certain, certain > 0))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    bins = metrics.reliability(np.array([0.2, 1 / 15, 1.0, 0.0]), np.ones(4, bool))
    np.testing.assert_array_equal(np.flatnonzero(bins["examples"]), [0, 2, 14])
    assert bins["examples"].sum() == 4
