"""Paired tests: McNemar's and Holm's by SciPy and by hand, and intervals that hold what they say."""

import numpy as np
import pytest
import scipy.stats

from results.rankings.examples import Resampled
from results.rankings.resampling import resampled_accuracy
from results.rankings.significance import Scores, holm, mcnemar, p_value_of, paired_test
from results.rankings.statistics import estimate


def all_scores(correct: np.ndarray, examples: str = "these") -> list[Scores]:
    """Returns the scores of models that are right where `correct` [models, seeds, examples] says."""
    models, seeds, count = correct.shape
    drawn = resampled_accuracy(correct.reshape(-1, count)).reshape(models, seeds, -1)
    return [
        Scores(
            dict(enumerate(right.mean(axis=1).tolist())),
            {s: Resampled(examples, count, drawn[m, s], right[s]) for s in range(seeds)},
        )
        for m, right in enumerate(correct)
    ]


def scores(correct: np.ndarray, examples: str = "these") -> Scores:
    """Returns the scores of a model that is right where `correct` [seeds, examples] says."""
    return all_scores(correct[np.newaxis], examples)[0]


@pytest.mark.parametrize(("one", "other"), [(0, 1), (3, 10), (25, 12), (400, 440), (900, 1_300)])
def test_mcnemar_is_scipys_exact_test_less_the_probability_of_what_was_seen(one, other):
    exact = scipy.stats.binomtest(min(one, other), one + other).pvalue
    seen = scipy.stats.binom.pmf(one, one + other, 0.5)
    assert mcnemar(one, other) == pytest.approx(exact - seen, rel=1e-9)
    assert mcnemar(one, other) == mcnemar(other, one)


def test_mcnemar_by_hand():
    # 1 against 5: 2 (1 + 6) / 64 exactly, less 6 / 64 for mid-p.
    assert mcnemar(1, 5) == pytest.approx(8 / 64)
    assert mcnemar(0, 0) == mcnemar(7, 7) == 1.0


def test_holm_by_hand():
    # 4 · 0.005, 3 · 0.01, then 2 · 0.03 and 1 · 0.04, which may not be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_p_value_over_seeds_is_scipys():
    values = [0.02, 0.03, 0.05]
    assert p_value_of(estimate(values), 0.01) == pytest.approx(
        scipy.stats.ttest_1samp(values, 0.01).pvalue
    )
    assert p_value_of(estimate([0.1, 0.1])) is None


def test_without_seeds_in_common_there_is_no_test():
    assert paired_test(Scores({0: 0.5}), Scores({1: 0.5})) is None


def test_one_seed_has_the_interval_of_its_examples():
    chance = np.random.default_rng(0)
    first, second = chance.random((2, 1, 3000)) < np.array([0.6, 0.5])[:, None, None]
    test = paired_test(scores(first), scores(second))
    differences = first[0].astype(float) - second[0]
    half_width = 1.96 * differences.std(ddof=1) / np.sqrt(3000)
    assert test.difference.mean == pytest.approx(differences.mean())
    assert test.difference.high - test.difference.mean == pytest.approx(half_width, rel=0.06)
    assert (test.seeds, test.examples) == (1, 3000)
    assert test.p_value == mcnemar(*test.discordant)


def test_a_margin_is_tested_by_the_bootstrap_and_not_by_mcnemar():
    chance = np.random.default_rng(0)
    first = chance.random((1, 3000)) < 0.6
    test = paired_test(scores(first), scores(first ^ (chance.random((1, 3000)) < 0.02)), -0.01)
    assert test.discordant is None
    error = (test.difference.high - test.difference.mean) / 1.96
    expected = 2 * scipy.stats.norm.sf(abs(test.difference.mean + 0.01) / error)
    assert test.p_value == pytest.approx(expected, rel=0.05)


def test_equal_predictions_have_no_interval():
    same = scores(np.arange(300).reshape(1, 300) % 2 == 0)
    test = paired_test(same, same)
    assert (test.p_value, test.difference.interval, test.examples) == (None, None, 300)


def test_other_examples_leave_seeds_alone():
    chance = np.random.default_rng(0)
    first, second = chance.random((2, 3, 300)) < 0.6
    test = paired_test(scores(first), scores(second, "others"))
    assert test.examples == 0
    assert test.p_value == pytest.approx(
        scipy.stats.ttest_rel(first.mean(axis=1), second.mean(axis=1)).pvalue
    )


@pytest.mark.parametrize(("seeds", "seed_spread"), [(1, 0.0), (3, 0.0), (3, 0.03)])
def test_intervals_hold_the_true_difference_at_least_as_often_as_they_say(seeds, seed_spread):
    chance = np.random.default_rng(1)
    examples, tables = 400, 300
    # Examples are easy or hard for both models, and each training is a little better or worse.
    levels = np.array([0.6, 0.5])[:, None] + chance.normal(0, seed_spread, (tables, 2, seeds))
    easy = chance.normal(0, 0.15, (tables, 1, 1, examples))
    right = chance.random((tables, 2, seeds, examples)) < levels[..., None] + easy
    models = all_scores(right.reshape(-1, seeds, examples))
    tests = [paired_test(*pair) for pair in zip(models[::2], models[1::2], strict=True)]
    held = sum(test.difference.low <= 0.1 <= test.difference.high for test in tests)
    # 95% of 300 is 285, with a deviation of 3.8.
    assert held >= 277


def test_test_examples_of_a_few_seeds_tell_more_than_the_seeds_alone():
    chance = np.random.default_rng(2)
    right = chance.random((30, 2, 3, 2000)) < np.array([0.33, 0.3])[:, None, None]
    models = all_scores(right.reshape(-1, 3, 2000))
    narrower = []
    for first, second in zip(models[::2], models[1::2], strict=True):
        alone = paired_test(Scores(first.by_seed), Scores(second.by_seed))
        both = paired_test(first, second)
        narrower.append(both.difference.high < alone.difference.high)
    assert sum(narrower) >= 20
