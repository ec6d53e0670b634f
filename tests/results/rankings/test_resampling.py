"""Resampled scores: the same draws for all, as scikit-learn weighs them, and quick enough."""

import time

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from results.rankings import resampling
from results.rankings.resampling import SAMPLES, Scored


def test_every_sample_draws_as_many_examples_as_there_are():
    counts = np.concatenate(list(resampling.example_counts(30)))
    assert counts.shape == (SAMPLES, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(30), abs=0.1)


def test_fewer_samples_are_the_first_of_more():
    whole = np.concatenate(list(resampling.example_counts(5000)))
    fewer = np.concatenate(list(resampling.example_counts(5000, 1234)))
    assert np.array_equal(fewer, whole[:1234])


def test_accuracies_are_those_of_the_drawn_examples():
    correct = np.random.default_rng(0).random((3, 50)) < [[0.3], [0.5], [0.9]]
    counts = np.concatenate(list(resampling.example_counts(50)))
    expected = (counts[:, None, :] * correct).sum(axis=2).T / 50
    assert resampling.resampled_accuracy(correct) == pytest.approx(expected, abs=1e-7)


def test_the_deviation_of_an_accuracy_is_scipys_bootstrap():
    correct = np.arange(200) < 130
    ours = resampling.resampled_accuracy(correct[None])[0].std(ddof=1)
    theirs = scipy.stats.bootstrap(
        (correct.astype(float),), np.mean, n_resamples=SAMPLES, random_state=0
    )
    assert ours == pytest.approx(theirs.standard_error, rel=0.08)


@pytest.mark.parametrize("ties", [False, True])
def test_areas_and_precisions_are_scikit_learns_with_the_counts_as_weights(ties):
    chance = np.random.default_rng(0)
    positive, score = chance.random(60) < 0.3, chance.random(60)
    score = np.round(score, 1) if ties else score
    counts = next(iter(resampling.example_counts(60)))[:20]
    ours = resampling.roc_auc(positive, score, counts)
    theirs = [sklearn.metrics.roc_auc_score(positive, score, sample_weight=c) for c in counts]
    assert ours == pytest.approx(theirs)
    ours = resampling.average_precision(positive, score, counts)
    theirs = [
        sklearn.metrics.average_precision_score(positive, score, sample_weight=c) for c in counts
    ]
    assert ours == pytest.approx(theirs)


def test_mean_average_precision_is_over_the_labels_that_were_drawn():
    positive = np.zeros((40, 2), bool)
    positive[:20, 0] = positive[0, 1] = True
    score = np.random.default_rng(0).random((40, 2))
    (scores,) = resampling.resampled_metric([Scored("mean_average_precision", score, positive)])
    counts = np.concatenate(list(resampling.example_counts(40)))
    without = int(np.flatnonzero(counts[:, 0] == 0)[0])
    first = resampling.average_precision(positive[:, 0], score[:, 0], counts)
    assert scores[without] == pytest.approx(first[without])
    both = int(np.flatnonzero(counts[:, 0])[0])
    second = resampling.average_precision(positive[:, 1], score[:, 1], counts)
    assert scores[both] == pytest.approx((first[both] + second[both]) / 2)


def test_many_labels_get_fewer_samples():
    few = Scored("mean_average_precision", np.zeros((360, 10)), np.zeros((360, 10), bool))
    many = Scored("mean_average_precision", np.zeros((5000, 80)), np.zeros((5000, 80), bool))
    assert (few.samples, many.samples) == (SAMPLES, resampling.FEWEST_SAMPLES)


def test_one_seed_is_not_shifted():
    assert (resampling.seed_multipliers([7]) == 0).all()


@pytest.mark.parametrize("values", [[0.1, 0.6], [0.1, 0.5, 0.6], [0.3, 0.1, 0.2, 0.6, 0.5]])
def test_means_over_seeds_vary_as_students_t_interval_says(values):
    shifts = resampling.seed_multipliers(range(len(values))) @ (np.array(values) - np.mean(values))
    distances = shifts / scipy.stats.sem(values)
    expected = scipy.stats.t(len(values) - 1)
    assert scipy.stats.kstest(distances, expected.cdf).pvalue > 0.01
    assert np.mean(np.abs(distances) < expected.ppf(0.975)) == pytest.approx(0.95, abs=0.015)


def test_sixty_runs_of_five_thousand_examples_take_seconds():
    correct = np.random.default_rng(0).random((60, 5000)) < 0.3
    begin = time.process_time()
    resampling.resampled_accuracy(correct)
    assert time.process_time() - begin < 10
