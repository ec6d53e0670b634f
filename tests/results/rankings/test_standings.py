"""How sure ranks are: shares of first places and intervals of ranks, by hand and against a plain bootstrap."""

import numpy as np
import pytest
import scipy.stats

from results.rankings.examples import Resampled
from results.rankings.resampling import resampled_accuracy
from results.rankings.significance import Scores
from results.rankings.standings import standings


def scores(correct: np.ndarray, examples: str = "these") -> Scores:
    """Returns the scores of a model that is right where `correct` [seeds, examples] says."""
    return Scores(
        dict(enumerate(correct.mean(axis=1).tolist())),
        {
            seed: Resampled(examples, correct.shape[1], drawn)
            for seed, drawn in enumerate(resampled_accuracy(correct))
        },
    )


def test_seeds_alone_by_hand():
    # The differences are -1, 2 and 2 points: their mean is 1 of its standard errors, and of Student's t with 2 degrees
    # of freedom, 1/2 + 1 / (2 √3) = 0.789 is below 1.
    drawn = standings(
        {"a": Scores({0: 0.90, 1: 0.92, 2: 0.94}), "b": Scores({0: 0.91, 1: 0.90, 2: 0.92})}
    )
    assert drawn.of["a"].first_share == pytest.approx(0.789, abs=0.02)
    assert drawn.of["a"].first_share + drawn.of["b"].first_share == pytest.approx(1)
    assert drawn.of["a"].rank.mean == pytest.approx(1.211, abs=0.02)
    assert drawn.of["a"].rank.interval == drawn.of["b"].rank.interval == (1, 2)
    assert drawn.examples == 0


def test_a_clear_order_is_sure():
    drawn = standings(
        {name: Scores({0: s, 1: s + 0.01}) for name, s in {"a": 0.9, "b": 0.5}.items()}
    )
    assert [drawn.of[name].first_share for name in "ab"] == [1.0, 0.0]
    assert [drawn.of[name].rank.interval for name in "ab"] == [(1, 1), (2, 2)]


def test_test_examples_make_one_seed_unsure():
    # 30 examples only the first has right, 20 only the second: a difference of 10 ± 7.
    correct = np.ones((2, 1, 400), bool)
    correct[1, 0, :30] = correct[0, 0, 30:50] = False
    drawn = standings({"a": scores(correct[0]), "b": scores(correct[1])})
    assert drawn.of["a"].first_share == pytest.approx(0.92, abs=0.03)
    assert drawn.of["a"].rank.interval == (1, 2)
    assert (drawn.examples, drawn.samples) == (400, 2000)


def test_models_that_are_right_on_the_same_examples_share_every_place():
    correct = np.arange(100).reshape(1, 100) % 3 == 0
    drawn = standings({"a": scores(correct), "b": scores(correct), "c": scores(~correct)})
    assert drawn.of["a"] == drawn.of["b"]
    assert drawn.of["a"].first_share < 0.01
    assert drawn.of["a"].rank.interval == (2, 3)


def test_one_seed_without_predictions_has_no_standing_and_takes_part_as_it_is():
    drawn = standings(
        {"a": Scores({0: 0.5, 1: 0.9}), "b": Scores({0: 0.8}), "c": Scores({0: 0.10, 1: 0.11})}
    )
    assert list(drawn.of) == ["a", "c"]
    # "a" is half its standard error behind: of Student's t with 1 degree of freedom, 1/2 - atan(1/2) / π is above 1/2.
    assert drawn.of["a"].first_share == pytest.approx(0.352, abs=0.03)
    assert drawn.of["a"].rank.low == 1
    assert drawn.of["c"].first_share == 0


@pytest.mark.parametrize(
    "models", [{}, {"a": Scores({0: 0.5, 1: 0.6})}, {"a": Scores({0: 0.5}), "b": Scores({0: 0.6})}]
)
def test_nothing_to_compare_or_to_draw_has_no_standings(models):
    assert standings(models).of == {}


def test_examples_that_most_models_do_not_have_are_not_drawn():
    chance = np.random.default_rng(0)
    first, second, third = chance.random((3, 1, 200)) < 0.5
    drawn = standings(
        {"a": scores(first), "b": scores(second), "c": scores(third, "other examples")}
    )
    assert list(drawn.of) == ["a", "b"]
    assert drawn.without_examples == ("c",)


def test_shares_are_those_of_a_plain_bootstrap():
    chance = np.random.default_rng(0)
    right = chance.random((4, 3, 300)) < np.array([0.62, 0.6, 0.58, 0.4])[:, None, None]
    drawn = standings({place: scores(each) for place, each in enumerate(right)})
    over_seeds = scipy.stats.multivariate_t(
        shape=np.cov(right.mean(axis=2)) / 3, df=2, allow_singular=True, seed=1
    )
    first = np.zeros(4)
    for shift in over_seeds.rvs(4000):
        means = right[:, :, chance.integers(300, size=300)].mean(axis=(1, 2)) + shift
        first[np.argmax(means)] += 1
    shares = [drawn.of[place].first_share for place in range(4)]
    assert shares == pytest.approx(first / 4000, abs=0.04)


def test_models_that_cannot_be_told_from_the_first_by_their_seeds_may_be_first():
    # A difference of 2 ± 2.5 points over 3 seeds: a draw of seeds, all of which show one, would never say so.
    drawn = standings(
        {"a": Scores({0: 0.99, 1: 0.99, 2: 0.99}), "b": Scores({0: 0.96, 1: 0.98, 2: 0.97})}
    )
    assert drawn.of["a"].rank.interval == (1, 2)
