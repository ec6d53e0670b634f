import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import BudgetError
from benchmarks.runs import budget

COSTS = budget.Costs(batch_size=32, train_examples=1280, train_macs=3000)


@given(amount=st.integers(1, 10**9), batch_size=st.integers(1, 10**5))
def test_examples_buy_whole_batches_and_never_more(amount, batch_size):
    costs = dataclasses.replace(COSTS, batch_size=batch_size)
    if amount < batch_size:
        with pytest.raises(BudgetError, match="less than one batch"):
            budget.plan("examples", amount, costs)
        return
    plan = budget.plan("examples", amount, costs)
    assert plan.num_examples <= amount < plan.num_examples + batch_size


@pytest.mark.parametrize(("epochs", "steps"), [(1, 40), (0.1, 4), (2.5, 100), (1 / 3, 13)])
def test_epochs_are_passes_over_the_training_examples(epochs, steps):
    assert budget.plan("epochs", epochs, COSTS).steps == steps


def test_flops_are_two_for_each_mac_of_training_and_example():
    assert budget.train_flops(train_macs=3 * 4_089_184_256, examples=10) == 6 * 40_891_842_560
    # A step is 2 x 3000 x 32 = 192,000.
    assert budget.plan("flops", 1_000_000, COSTS).steps == 5
    twice_the_model = dataclasses.replace(COSTS, train_macs=6000)
    assert budget.plan("flops", 1_000_000, twice_the_model).steps == 2


def test_how_many_steps_seconds_buy_shows_at_their_end():
    plan = budget.plan("seconds", 10.0, COSTS)
    assert plan.steps is None
    with pytest.raises(ValueError, match="known at its end"):
        assert plan.num_steps


@pytest.mark.parametrize(
    ("kind", "spent"), [("examples", 320), ("epochs", 0.25), ("flops", 1_920_000), ("seconds", 7.0)]
)
def test_what_was_spent_is_told_in_the_budgets_unit(kind, spent):
    plan = budget.Budget(kind, 1.0, COSTS, steps=10)
    assert plan.spent(10, 7.0) == spent
