"""Means, intervals, paired differences and ranks, against worked values and SciPy."""

import itertools
import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from results.rankings.statistics import (
    Estimate,
    estimate,
    paired_difference,
    paired_ratio,
    prediction_interval,
    rank,
    welch_difference,
)

scores = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def test_estimate_of_three_seeds_by_hand():
    # mean 0.92, deviations -0.02, 0, 0.02: variance 0.0008 / 2; t(0.975, 2) = 4.302653 (tables)
    result = estimate([0.90, 0.92, 0.94])
    assert result.count == 3
    assert result.mean == pytest.approx(0.92)
    assert result.std == pytest.approx(0.02)
    assert result.low == pytest.approx(0.92 - 4.302653 * 0.02 / math.sqrt(3), abs=1e-8)
    assert result.high == pytest.approx(0.92 + 4.302653 * 0.02 / math.sqrt(3), abs=1e-8)


@given(scores)
def test_interval_is_scipys(values):
    result = estimate(values)
    if result.std <= 1e-7 * max(values):
        assert result.interval is None
        return
    error = scipy.stats.sem(values)
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, loc=result.mean, scale=error)
    assert (result.low, result.high) == pytest.approx((low, high))


@given(scores, st.randoms())
def test_order_of_values_changes_no_bit(values, random):
    assert estimate(random.sample(values, len(values))) == estimate(values)


def test_one_seed_has_no_interval():
    assert estimate([0.7]) == Estimate(1, 0.7, None, None, None)


def test_no_values_have_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_paired_difference_uses_common_seeds_only():
    # differences on seeds 1 and 2: 0.1 and 0.3; t(0.975, 1) = 12.706205 (tables)
    result = paired_difference({0: 0.9, 1: 0.5, 2: 0.8}, {1: 0.4, 2: 0.5, 3: 0.0})
    assert result.count == 2
    assert result.mean == pytest.approx(0.2)
    half_width = 12.706205 * math.sqrt(0.02) / math.sqrt(2)
    assert result.low == pytest.approx(0.2 - half_width, abs=1e-7)
    assert result.high == pytest.approx(0.2 + half_width, abs=1e-7)


def test_paired_difference_without_common_seeds_is_none():
    assert paired_difference({0: 0.9}, {1: 0.8}) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_paired_interval_is_scipys(pairs):
    first, second = zip(*pairs, strict=True)
    result = paired_difference(dict(enumerate(first)), dict(enumerate(second)))
    differences = [a - b for a, b in pairs]
    if result.std <= 1e-7 * max(
        *first, *second
    ):  # SciPy's answer is then rounding, or not a number
        assert result.interval is None
        return
    interval = scipy.stats.ttest_rel(first, second).confidence_interval(0.95)
    assert result.mean == pytest.approx(math.fsum(differences) / len(differences), abs=1e-12)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


@given(scores, scores)
def test_welchs_interval_is_scipys(first, second):
    result = welch_difference(first, second)
    if min(estimate(first).std, estimate(second).std) < 1e-6:
        assert result.interval is None or result.low <= result.mean <= result.high
        return
    test = scipy.stats.ttest_ind(first, second, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_welchs_interval_by_hand():
    # variances 1 and 4, n 2 and 2: error sqrt(2.5), degrees 6.25 / (0.25 + 4) = 1.470588
    result = welch_difference(
        [1 - math.sqrt(0.5), 1 + math.sqrt(0.5)], [-math.sqrt(2), math.sqrt(2)]
    )
    half_width = scipy.stats.t.ppf(0.975, 6.25 / 4.25) * math.sqrt(2.5)
    assert (result.mean, result.low, result.high) == pytest.approx(
        (1, 1 - half_width, 1 + half_width)
    )


def test_welch_needs_two_values_of_each_for_an_interval():
    result = welch_difference([0.9], [0.5, 0.6])
    assert (result.count, result.mean, result.low) == (1, pytest.approx(0.35), None)


def test_pairing_separates_models_whose_own_intervals_overlap():
    better = {0: 0.70, 1: 0.80, 2: 0.90}
    worse = {0: 0.69, 1: 0.79, 2: 0.885}
    assert estimate(list(better.values())).low < estimate(list(worse.values())).high
    assert rank({"better": better, "worse": worse}) == {"better": 1, "worse": 2}


def test_models_whose_difference_spans_zero_share_a_rank_and_the_next_is_third():
    table = {
        "c": {0: 0.50, 1: 0.51, 2: 0.52},
        "b": {0: 0.91, 1: 0.90, 2: 0.92},
        "a": {0: 0.90, 1: 0.92, 2: 0.94},
    }
    assert rank(table) == {"a": 1, "b": 1, "c": 3}


def test_a_group_is_measured_from_its_leader():
    # b is tied with a, and c with b, but c is not tied with a
    table = {
        "a": {0: 0.92, 1: 0.92, 2: 0.92},
        "b": {0: 0.93, 1: 0.90, 2: 0.90},
        "c": {0: 0.90, 1: 0.90, 2: 0.901},
    }
    assert rank({"b": table["b"], "c": table["c"]}) == {"b": 1, "c": 1}
    assert rank(table) == {"a": 1, "b": 1, "c": 3}


def test_one_seed_ties_only_on_equal_means():
    assert rank({"a": {0: 0.9}, "b": {0: 0.9}, "c": {0: 0.8999}}) == {"a": 1, "b": 1, "c": 3}


def test_seeds_not_in_common_tie_only_on_equal_means():
    assert rank({"a": {0: 0.9, 1: 0.5}, "b": {2: 0.8, 3: 0.5}}) == {"a": 1, "b": 2}


def test_identical_scores_tie_and_so_do_equal_differences():
    same = {0: 0.5, 1: 0.75}
    assert rank({"a": same, "b": dict(same)}) == {"a": 1, "b": 1}
    assert rank({"a": same, "b": {0: 0.25, 1: 0.5}}) == {"a": 1, "b": 1}
    assert rank({"a": same, "b": {0: 0.25, 1: 0.6}}) == {"a": 1, "b": 1}  # t(1) is 12.7
    assert rank({"a": same, "b": {0: 0.25, 1: 0.501}}) == {"a": 1, "b": 2}


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("by", [0.01, 0.1, 1 / 3])
def test_equal_values_and_equal_differences_are_no_interval(seeds, by):
    # 0.92 - 0.91 and 0.91 - 0.90 differ in their last bits
    first = {seed: 0.5 + 0.01 * seed for seed in range(seeds)}
    second = {seed: score - by for seed, score in first.items()}
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(by)
    assert difference.interval is None
    assert rank({"a": first, "b": second}) == {"a": 1, "b": 1}
    same = estimate([by] * seeds)
    assert (same.mean, same.interval) == (pytest.approx(by), None)
    assert welch_difference([0.5] * seeds, [0.5 - by] * seeds).interval is None
    assert paired_ratio(dict.fromkeys(first, 2.0), dict.fromkeys(first, 1.0)).interval is None
    assert prediction_interval([by] * seeds) is None


def test_the_finest_difference_of_a_large_test_split_is_an_interval():
    one_of = 1 / 1_000_000
    assert estimate([0.9, 0.9 + one_of]).interval is not None


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=8))
def test_ranks_are_competition_ranks(rows):
    ranks = sorted(rank({i: dict(enumerate(row)) for i, row in enumerate(rows)}).values())
    assert ranks[0] == 1
    for place, (before, now) in enumerate(itertools.pairwise(ranks), start=2):
        assert now in (before, place)
