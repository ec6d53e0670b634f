"""The threshold of a label is where its F1 is highest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.rankings import thresholds

# Few values, so that there are ties.
_CONFIDENCES = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 1.0])


def f1(confidence, positive, threshold):
    decided = confidence >= threshold
    return 2 * np.sum(decided & positive) / max(np.sum(decided) + np.sum(positive), 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_CONFIDENCES, st.booleans()), min_size=1, max_size=12))
def test_no_threshold_has_a_higher_f1(examples):
    confidence, positive = (np.array(values) for values in zip(*examples, strict=True))
    (chosen,) = thresholds.choose(confidence[:, None], positive[:, None])
    assert 0 <= chosen <= 1
    if not positive.any():
        assert chosen == 0.5
        return
    best = max(f1(confidence, positive, each) for each in (*confidence, *(confidence + 1e-9)))
    assert f1(confidence, positive, chosen) == pytest.approx(best)


def test_it_lies_halfway_to_what_it_keeps_out():
    confidence = np.array([0.9, 0.7, 0.3, 0.1])[:, None]
    positive = np.array([True, True, False, False])[:, None]
    np.testing.assert_allclose(thresholds.choose(confidence, positive), [0.5])
    np.testing.assert_allclose(thresholds.choose(confidence, positive | True), [0.05])


def test_of_several_as_good_it_is_the_nearest_to_a_half():
    # Above 0.8: 1 of 1 and 1 of 2 found, F1 2/3. Above 0: 2 of 4 and 2 of 2, F1 2/3.
    confidence = np.array([0.9, 0.8, 0.2, 0.1])
    positive = np.array([True, False, False, True])
    (chosen,) = thresholds.choose(confidence[:, None], positive[:, None])
    assert chosen == pytest.approx(0.85)


def test_each_label_has_its_own():
    confidence = np.array([[0.9, 0.2, 0.4], [0.6, 0.1, 0.6]])
    positive = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_allclose(thresholds.choose(confidence, positive), [0.75, 0.15, 0.5])


def test_neighboring_numbers_are_told_apart():
    low = 0.3
    high = np.nextafter(low, 1)
    (chosen,) = thresholds.choose(np.array([[low], [high]]), np.array([[False], [True]]))
    assert chosen == high
