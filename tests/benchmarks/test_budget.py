import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import budget
from benchmarks.errors import BudgetError


@given(amount=st.integers(1, 10**9), batch_size=st.integers(1, 10**5))
def test_examples_buy_whole_batches_and_never_more(amount, batch_size):
    if amount < batch_size:
        with pytest.raises(BudgetError, match="less than one batch"):
            budget.plan("examples", amount, batch_size)
        return
    plan = budget.plan("examples", amount, batch_size)
    assert plan.examples <= amount < plan.examples + batch_size


def test_training_flops_are_six_for_each_mac_and_example():
    assert budget.train_flops(macs=4_089_184_256, examples=10) == 6 * 40_891_842_560
