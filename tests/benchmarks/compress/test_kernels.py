"""Which weights of a kernel go, and which values the others share."""

import numpy as np
import pytest
from scipy.cluster import vq

from benchmarks.compress import kernels


def kernel_of(*values):
    return np.array(values, np.float32).reshape(1, 1, -1, 1)


def test_the_smallest_weights_by_magnitude_go():
    pruned = kernels.prune(kernel_of(0.1, -0.5, 0.3, -0.2), 0.5)
    assert pruned.ravel().tolist() == pytest.approx([0, -0.5, 0.3, 0])


def test_ties_are_broken_so_that_exactly_the_asked_part_goes():
    assert np.count_nonzero(kernels.prune(np.ones((1, 1, 4, 4), np.float32), 0.75)) == 4


@pytest.mark.filterwarnings("ignore:One of the clusters is empty")
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_kept_weights_share_the_values_that_k_means_finds(bits):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 16, 10)).astype(np.float32)
    kernel = kernels.prune(kernel, 0.5)
    shared = kernels.share(kernel, bits)
    assert np.array_equal(shared == 0, kernel == 0)
    kept = kernel[kernel != 0].astype(np.float64)
    start = np.linspace(kept.min(), kept.max(), 2**bits - 1)
    values, _ = vq.kmeans2(kept[:, None], start[:, None], iter=100, minit="matrix", missing="warn")
    assert len(np.unique(shared[kernel != 0])) <= 2**bits - 1
    error = np.mean((shared - kernel)[kernel != 0] ** 2)
    theirs = np.mean(np.min(np.abs(kept[:, None] - values.T), axis=1) ** 2)
    assert error <= theirs * 1.001


def test_few_weights_stay_as_they_are_and_a_kernel_of_zeros_too():
    kernel = kernel_of(0.0, 1.0, -1.0, 0.25)
    assert np.array_equal(kernels.share(kernel, 8), kernel)
    assert np.array_equal(kernels.share(kernel_of(0, 0), 8), kernel_of(0, 0))


def test_only_kernels_change():
    params = {"conv": {"kernel": np.ones((1, 1, 2, 2)), "bias": np.ones(2)}}
    changed = kernels.change(params, lambda kernel: kernel * 2)
    assert changed["conv"]["kernel"].tolist() == [[[[2, 2], [2, 2]]]]
    assert changed["conv"]["bias"].tolist() == [1, 1]
