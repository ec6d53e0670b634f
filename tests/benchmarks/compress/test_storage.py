"""Every byte of pruned kernels of few values, counted by hand."""

import numpy as np
import pytest

import models
from benchmarks.compress import storage
from benchmarks.compress.run import auxiliary_names
from benchmarks.config.fields import default_config
from benchmarks.config.setup import set_up
from benchmarks.steps.abstract import split_configured


@pytest.mark.parametrize(
    ("zeros_before_each", "fillers"),
    [((0, 0), 0), ((15, 0), 0), ((16, 0), 1), ((31,), 1), ((32,), 2), ((16, 33), 3)],
)
def test_a_run_of_zeros_that_four_bits_do_not_hold_takes_fillers(zeros_before_each, fillers):
    kernel = np.concatenate([[0] * zeros + [7] for zeros in zeros_before_each])
    weights, zeros = storage.entries(kernel)
    assert np.count_nonzero(weights == 0) == fillers
    assert zeros.max() < 16
    # What is stored says all: zeros, weight, zeros, weight, ...
    read = [
        value
        for before, each in zip(zeros, weights, strict=True)
        for value in (*[0] * before, each)
    ]
    assert read == kernel.tolist()


def test_a_kernel_of_zeros_has_no_entries():
    assert [len(part) for part in storage.entries(np.zeros(40))] == [0, 0]


@pytest.mark.parametrize(
    ("counts", "bits"),
    [
        ([5], 5),  # a word has a bit
        ([3, 1], 4),
        ([1, 1, 1, 1], 8),
        ([45, 13, 12, 16, 9, 5], 224),  # Cormen et al., "Introduction to Algorithms", figure 16.5
    ],
)
def test_words_are_as_short_as_huffmans(counts, bits):
    assert storage.word_bits(np.array(counts)) == bits


PARAMS = {
    "conv": {
        # 16 zeros, then ten times 2, five times -1 and one 3.
        "kernel": np.array([0] * 16 + [2] * 10 + [-1] * 5 + [3], np.float32).reshape(2, 2, 2, 4),
        "bias": np.ones(4, np.float32),
    },
    "bn": {"scale": np.ones(4, np.float32)},
    "auxiliary": {"kernel": np.ones((10, 10), np.float32)},
}
STATISTICS = {"bn": {"mean": np.zeros(4, np.float32), "var": np.ones(4, np.float32)}}
FLOATS = (4 + 4 + 8) * 4


def size(bits, is_pruned):
    return storage.size(PARAMS, STATISTICS, bits, is_pruned, {"auxiliary"})


def test_float32_takes_four_bytes_for_each_value():
    assert size(32, False) == storage.Size(*[32 * 4 + FLOATS] * 3)


def test_values_of_few_bits_take_these_and_a_table():
    # 32 words of 2 bits, and a table of three values besides 0.
    assert size(2, False).fixed == (32 * 2 + 3 * 32) // 8 + FLOATS
    # 16, 10, 5 and 1 of them in words of 1, 2, 3 and 3 bits, and the lengths of four words.
    coded = 16 * 1 + 10 * 2 + 6 * 3 + 3 * 32 + 4 * 8
    assert size(2, False).coded == -(-coded // 8) + FLOATS


def test_pruned_kernels_take_entries():
    # A filler for the 16 zeros, and 16 weights: 17 entries of 2 + 4 bits.
    fixed = 17 * (2 + 4) + 3 * 32
    assert size(2, True).fixed == -(-fixed // 8) + FLOATS
    # Weights: 10, 5, 1 and 1 filler in words of 1, 2, 3 and 3 bits; zeros before: one of 15, 16 of 0, a bit each.
    coded = (10 + 5 * 2 + 2 * 3 + 3 * 32 + 4 * 8) + (17 + 16 * 8)
    assert size(2, True).coded == -(-coded // 8) + FLOATS
    # Weights in float32 with the zeros before them.
    assert size(32, True).fixed == -(-17 * 36 // 8) + FLOATS


def test_auxiliary_heads_do_not_count():
    config = default_config()
    config.model = "googlenet"
    model = models.create_abstract("googlenet", 10)
    _, params, batch_stats = split_configured(set_up(config, 10), model)
    assert auxiliary_names(model) == {"aux1", "aux2"}
    taken = storage.size(filled(params), filled(batch_stats), 32, False, auxiliary_names(model))
    assert taken.fixed == taken.dense == models.count_weight_bytes(model)


def filled(tree):
    if isinstance(tree, dict):
        return {key: filled(value) for key, value in tree.items()}
    return np.zeros(tree.shape, np.float32)
