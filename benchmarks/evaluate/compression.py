"""Weights made smaller, and their bytes counted: pruning and quantization as in Deep Compression, without retraining.

Han et al. 2015, arXiv:1510.00149: of each kernel the smallest weights are set to 0 (section 2), the others share few
values (section 3), and a kept weight is stored as its value and the distance to the one before it in the kernel
(figure 2). The values here are even steps, symmetric and scaled for each output channel, rather than found by k-means,
and nothing is coded by frequency (section 4), so that what is counted is what a plain file would take.
"""

import dataclasses
from collections.abc import Collection

import jax
import numpy as np

import models
from benchmarks.errors import ConfigError
from isobudget.wording import exact
from results.records.evaluations import Compression

INDEX_BITS = 4
FLOAT_BITS = 32
_MIN_BITS, _MAX_BITS = 2, 16


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A model's arrays after compression, and what they take.

    Attributes:
      params, batch_stats: the arrays as before, except for the kernels.
      facts: what was done, and the bytes that result.
    """

    params: dict
    batch_stats: dict
    facts: Compression


def name(weight_bits: int, sparsity: float) -> str:
    """Returns what an evaluation of such weights is called: `compressed-8bit-0.67`; empty if nothing is done."""
    if (weight_bits, sparsity) == (FLOAT_BITS, 0.0):
        return ""
    return f"compressed-{weight_bits}bit" + (f"-{exact(sparsity)}" if sparsity else "")


def validate(weight_bits: int, sparsity: float) -> None:
    """Raises `ConfigError` unless kernels can be stored like this."""
    if weight_bits != FLOAT_BITS and not _MIN_BITS <= weight_bits <= _MAX_BITS:
        raise ConfigError(
            f"--weight_bits is from {_MIN_BITS} to {_MAX_BITS}, or {FLOAT_BITS} for float32, not {weight_bits}."
        )
    if not 0 <= sparsity < 1:
        raise ConfigError(f"--sparsity is from 0 to below 1, not {exact(sparsity)}.")


def compress(
    params: dict,
    batch_stats: dict,
    weight_bits: int = FLOAT_BITS,
    sparsity: float = 0.0,
    not_counted: Collection[str] = (),
) -> Compressed:
    """Returns the arrays with every kernel pruned and quantized, and their bytes.

    Biases, norms and batch statistics stay float32, as does each output channel's scale.

    Args:
      params, batch_stats: nested dicts of arrays; a leaf called `kernel` is one, its output channels last.
      weight_bits: how many bits a weight has; 32 leaves float32.
      sparsity: the fraction of each kernel's weights that is set to 0.
      not_counted: names of auxiliary heads, whose bytes are not counted because inference does without them.

    Raises:
      ConfigError: as `validate`.
    """
    validate(weight_bits, sparsity)
    bits = dense_bits = 0
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    changed = []
    for path, leaf in leaves:
        array = np.asarray(jax.device_get(leaf))
        if path[-1].key == "kernel":
            array, taken = _compress_kernel(array, weight_bits, sparsity)
        else:
            taken = array.size * FLOAT_BITS
        changed.append(array)
        if path[0].key not in not_counted:
            bits += taken
            dense_bits += array.size * FLOAT_BITS
    counted = {name: part for name, part in batch_stats.items() if name not in not_counted}
    statistics = sum(leaf.size for leaf in jax.tree.leaves(counted)) * FLOAT_BITS
    facts = Compression(
        weight_bits=weight_bits,
        sparsity=sparsity,
        index_bits=INDEX_BITS if sparsity else 0,
        bytes=(bits + statistics) // 8,
        dense_bytes=(dense_bits + statistics) // 8,
    )
    return Compressed(jax.tree_util.tree_unflatten(structure, changed), batch_stats, facts)


def auxiliary_names(model: models.Classifier) -> set[str]:
    """Returns the names that a model's auxiliary heads have in its parameters."""
    heads = [id(head) for head in model.auxiliary_heads().values()]
    return {name for name, part in vars(model).items() if id(part) in heads}


def prune(kernel: np.ndarray, sparsity: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel without its `sparsity` (rounded) smallest weights by magnitude, and which are kept."""
    dropped = round(sparsity * kernel.size)
    order = np.argsort(np.abs(kernel), axis=None, kind="stable")
    flat = np.ones(kernel.size, bool)
    flat[order[:dropped]] = False
    kept = flat.reshape(kernel.shape)
    return np.where(kept, kernel, 0), kept


def quantize(kernel: np.ndarray, weight_bits: int) -> np.ndarray:
    """Returns the kernel in 2^bits - 1 even steps from -max to max of each output channel (its last axis)."""
    levels = 2 ** (weight_bits - 1) - 1
    largest = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)), keepdims=True)
    step = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(levels)
    return (np.round(kernel / step) * step).astype(kernel.dtype)


def stored_entries(kept: np.ndarray) -> int:
    """Returns how many entries a pruned kernel is stored in.

    One for each kept weight and, where more than 2^4 - 1 zeros lie before one, a filler of weight 0 for each 2^4 of
    them (figure 2 of the paper).
    """
    positions = np.flatnonzero(kept)
    zeros_before = np.diff(positions, prepend=-1) - 1
    return len(positions) + int(np.sum(zeros_before // 2**INDEX_BITS))


def _compress_kernel(
    kernel: np.ndarray, weight_bits: int, sparsity: float
) -> tuple[np.ndarray, int]:
    """Returns the kernel after compression, and the bits that it takes, rounded up to whole bytes."""
    pruned, kept = prune(kernel, sparsity)
    entries = stored_entries(kept) if sparsity else kernel.size
    bits = entries * (weight_bits + (INDEX_BITS if sparsity else 0))
    bits += -bits % 8
    if weight_bits == FLOAT_BITS:
        return pruned, bits
    return quantize(pruned, weight_bits), bits + kernel.shape[-1] * FLOAT_BITS
