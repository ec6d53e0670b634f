"""Pruned and quantized kernels: which weights go, how far the others move, and every byte counted."""

import numpy as np
import pytest

import models
from benchmarks.config.fields import default_config
from benchmarks.config.setup import set_up
from benchmarks.errors import ConfigError
from benchmarks.evaluate import compression
from benchmarks.steps.abstract import split_configured


def kernel_of(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 1, -1, 1)


def test_the_smallest_weights_by_magnitude_go():
    pruned, kept = compression.prune(kernel_of(0.1, -0.5, 0.3, -0.2), 0.5)
    assert pruned.ravel().tolist() == pytest.approx([0, -0.5, 0.3, 0])
    assert kept.ravel().tolist() == [False, True, True, False]


def test_ties_are_broken_so_that_exactly_the_asked_part_goes():
    _, kept = compression.prune(np.ones((1, 1, 4, 4), np.float32), 0.75)
    assert kept.sum() == 4


@pytest.mark.parametrize("bits", [2, 6, 8])
def test_a_weight_moves_at_most_half_a_step_of_its_channel(bits):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 5)).astype(np.float32)
    kernel[..., 1] *= 100  # a channel's steps are its own
    steps = np.abs(kernel).max(axis=(0, 1, 2)) / (2 ** (bits - 1) - 1)
    quantized = compression.quantize(kernel, bits)
    assert np.all(np.abs(quantized - kernel) <= steps / 2 * (1 + 1e-5))
    assert max(len(np.unique(quantized[..., c])) for c in range(5)) <= 2**bits - 1


def test_zero_and_the_largest_weight_stay_and_a_channel_of_zeros_too():
    quantized = compression.quantize(kernel_of(0.0, 1.0, -1.0, 0.3), 6).ravel()
    assert quantized[:3].tolist() == pytest.approx([0, 1, -1])
    assert compression.quantize(kernel_of(0.0, 0.0), 8).ravel().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("zeros_before_each", "entries"),
    [((0, 0), 2), ((15, 0), 2), ((16, 0), 3), ((31,), 2), ((32,), 3), ((16, 33), 5)],
)
def test_a_distance_that_four_bits_do_not_hold_takes_fillers(zeros_before_each, entries):
    kept = np.concatenate([[False] * zeros + [True] for zeros in zeros_before_each])
    assert compression.stored_entries(kept) == entries


def test_bytes_are_those_of_kernels_indices_scales_and_floats():
    params = {
        "conv": {
            "kernel": np.arange(1, 33, dtype=np.float32).reshape(2, 2, 2, 4),
            "bias": np.ones(4),
        },
        "bn": {"scale": np.ones(4, np.float32)},
        "auxiliary": {"kernel": np.ones((10, 10), np.float32)},
    }
    batch_stats = {"bn": {"mean": np.zeros(4, np.float32), "var": np.ones(4, np.float32)}}
    dense = (32 + 4 + 4 + 8) * 4

    def bytes_of(bits, sparsity):
        facts = compression.compress(params, batch_stats, bits, sparsity, {"auxiliary"}).facts
        assert facts.dense_bytes == dense
        return facts.bytes

    floats = (4 + 4 + 8) * 4
    assert bytes_of(32, 0.0) == dense
    assert bytes_of(8, 0.0) == 32 + 4 * 4 + floats
    # The 16 largest of 32 are the last, after 16 zeros: 17 entries of 6 + 4 bits are 170, in bytes 22.
    assert bytes_of(6, 0.5) == 22 + 4 * 4 + floats


def test_without_compression_nothing_changes_and_bytes_are_the_models():
    config = default_config()
    config.model = "googlenet"
    model = models.create_abstract("googlenet", 10)
    _, params, batch_stats = split_configured(set_up(config, 10), model)
    filled = {k: _filled(v) for k, v in params.items()}
    auxiliary = compression.auxiliary_names(model)
    assert auxiliary == {"aux1", "aux2"}
    compressed = compression.compress(filled, _filled(batch_stats), not_counted=auxiliary)
    assert (
        compressed.facts.bytes == compressed.facts.dense_bytes == models.count_weight_bytes(model)
    )
    assert np.array_equal(
        compressed.params["conv1"]["conv"]["kernel"], filled["conv1"]["conv"]["kernel"]
    )


def _filled(tree):
    if isinstance(tree, dict):
        return {key: _filled(value) for key, value in tree.items()}
    return np.zeros(tree.shape, np.float32)


@pytest.mark.parametrize(
    ("bits", "sparsity", "message"),
    [
        (1, 0.0, "--weight_bits is from 2 to 16, or 32 for float32, not 1"),
        (24, 0.0, "--weight_bits is from 2 to 16"),
        (8, 1.0, "--sparsity is from 0 to below 1, not 1"),
        (8, -0.1, "--sparsity is from 0 to below 1"),
    ],
)
def test_what_cannot_be_stored_is_refused(bits, sparsity, message):
    with pytest.raises(ConfigError, match=message):
        compression.compress({}, {}, bits, sparsity)


def test_an_evaluation_is_called_by_what_was_done():
    assert compression.name(32, 0.0) == ""
    assert compression.name(8, 0.0) == "compressed-8bit"
    assert compression.name(6, 0.67) == "compressed-6bit-0.67"
    assert compression.name(6, 0.6666666) != compression.name(6, 0.6666667)
