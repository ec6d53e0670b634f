"""Kernels with fewer weights and fewer values: Han et al. 2015, "Deep Compression", arXiv:1510.00149.

A kernel is any array called `kernel`: of a convolution [height, width, in, out] or a dense layer [in, out]. Biases,
norms and batch statistics are left alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

_MOST_ITERATIONS = 100


def change(params: Mapping[str, Any], function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Returns the nested dict of arrays with every kernel changed by a function."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            function(np.asarray(jax.device_get(leaf))) if path[-1].key == "kernel" else leaf
        ),
        params,
    )


def prune(kernel: np.ndarray, sparsity: float) -> np.ndarray:
    """Returns the kernel with its `sparsity` (rounded) smallest weights by magnitude set to 0 (section 2)."""
    order = np.argsort(np.abs(kernel), axis=None, kind="stable")
    pruned = kernel.copy()
    pruned.ravel()[order[: round(sparsity * kernel.size)]] = 0
    return pruned


def share(kernel: np.ndarray, bits: int) -> np.ndarray:
    """Returns the kernel with the weights that are not 0 replaced by the nearest of few values (section 3).

    The values are those of k-means, which begins with even steps from the smallest weight to the largest ("linear
    initialization", section 3.2).

    Args:
      kernel: zeros are pruned weights.
      bits: there are up to 2^bits - 1 values, besides the 0.
    """
    kept = kernel != 0
    if not kept.any():
        return kernel
    weights = np.sort(kernel[kept].astype(np.float64))
    values = _k_means(weights, np.linspace(weights[0], weights[-1], 2**bits - 1))
    values = values.astype(kernel.dtype)
    shared = kernel.copy()
    shared[kept] = values[np.searchsorted(_borders(values), kernel[kept])]
    return shared


def _k_means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the means, sorted, at which Lloyd's iterations arrive from `values`; both inputs are sorted.

    In one dimension a cluster is a slice of the sorted weights, so that an iteration takes no pass over them.
    """
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    ends = None
    for _ in range(_MOST_ITERATIONS):
        before = ends
        ends = np.concatenate([[0], np.searchsorted(weights, _borders(values)), [len(weights)]])
        if before is not None and np.array_equal(ends, before):
            break
        counts = np.diff(ends)
        # A value that no weight is near stays where it is.
        values = np.where(counts, np.diff(sums[ends]) / np.maximum(counts, 1), values)
    return values


def _borders(values: np.ndarray) -> np.ndarray:
    """Returns the middles between neighboring values."""
    return (values[1:] + values[:-1]) / 2
