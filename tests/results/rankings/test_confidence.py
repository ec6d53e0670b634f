"""Confidences and their calibration, against values worked out by hand."""

import numpy as np
import pytest

from results.rankings import confidence


def test_calibration_error_is_the_gap_of_each_bin_by_its_examples():
    sure = np.array([0.95, 0.97, 0.99, 0.61, 0.63, 0.2])
    correct = np.array([True, True, False, True, True, False])
    # Bins of 1/15: {0.95, 0.97, 0.99}, {0.61, 0.63}, {0.2}.
    by_hand = (abs(2 - 2.91) + abs(2 - 1.24) + 0.2) / 6
    assert confidence.expected_calibration_error(sure, correct) == pytest.approx(by_hand)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("value", "bin_"), [(np.nan, 0), (np.inf, 14), (-np.inf, 0), (6e4, 14), (-6e4, 0)]
)
def test_what_is_no_confidence_counts_as_the_nearest_and_warns_of_nothing(kind, value, bin_):
    bins = confidence.reliability(np.array([0.5, value], kind), np.array([True, False]))
    assert bins["examples"].sum() == 2
    assert bins["examples"][bin_] == 1
    assert bins["confidence"].sum() == 0.5 + (bin_ > 0)


def test_perfect_confidence_has_no_calibration_error_and_nan_shows():
    certain = np.ones(4)
    assert confidence.expected_calibration_error(certain, certain > 0) == 0
    certain[0] = np.nan
    assert np.isnan(confidence.expected_calibration_error(certain, certain > 0))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    bins = confidence.reliability(np.array([0.2, 1 / 15, 1.0, 0.0]), np.ones(4, bool))
    np.testing.assert_array_equal(np.flatnonzero(bins["examples"]), [0, 2, 14])
    assert bins["examples"].sum() == 4
