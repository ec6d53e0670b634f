"""The bytes that pruned kernels of few values take: Han et al. 2015, "Deep Compression", arXiv:1510.00149.

A pruned kernel is stored as its kept weights, each with the number of zeros before it, which has a fixed number of
bits; a longer run of zeros takes a filler, an entry of weight 0 (figure 2). A kernel's values are a table in float32
(figure 3). At the end the entries' values and numbers of zeros are coded by frequency (section 4): a Huffman code for
each kernel's values, and one for its numbers of zeros. Here the lengths of a code's words are counted too, a byte for
each symbol that there could be, which is what it takes to write the code down.
"""

import dataclasses
import heapq
import itertools
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np

ZERO_BITS = 4
FLOAT_BITS = 32
_LENGTH_BITS = 8


@dataclasses.dataclass(frozen=True)
class Size:
    """What a model's arrays take, in bytes.

    Attributes:
      dense: in float32.
      fixed: with values and numbers of zeros of a fixed number of bits.
      coded: with these in Huffman's code; of weights in float32, as `fixed`.
    """

    dense: int
    fixed: int
    coded: int


def size(
    params: Mapping[str, Any],
    batch_stats: Mapping[str, Any],
    bits: int,
    is_pruned: bool,
    not_counted: Collection[str] = (),
) -> Size:
    """Returns what the arrays take; all but kernels are float32.

    Args:
      params, batch_stats: nested dicts of arrays.
      bits: those of a kept weight, of which a kernel then has 2^bits - 1 values or fewer; 32 for float32.
      is_pruned: whether zeros are left out and counted, or stored like other weights.
      not_counted: names of auxiliary heads, which inference does without.
    """
    dense = fixed = coded = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path((params, batch_stats)):
        if path[1].key in not_counted:
            continue
        array = np.asarray(jax.device_get(leaf))
        plain = array.size * FLOAT_BITS
        dense += plain
        if path[-1].key == "kernel" and (is_pruned or bits != FLOAT_BITS):
            of_fixed, of_coded = _kernel_bits(array, bits, is_pruned)
            fixed += _whole_bytes(of_fixed)
            coded += _whole_bytes(of_coded)
        else:
            fixed += plain
            coded += plain
    return Size(dense // 8, fixed // 8, coded // 8)


def _kernel_bits(kernel: np.ndarray, bits: int, is_pruned: bool) -> tuple[int, int]:
    """Returns the bits that a kernel takes in words of fixed lengths and in Huffman's code, tables included."""
    weights, zeros = entries(kernel) if is_pruned else (kernel.ravel(), None)
    if bits == FLOAT_BITS:
        of_weights = len(weights) * FLOAT_BITS, len(weights) * FLOAT_BITS
    else:
        table = len(np.unique(weights[weights != 0])) * FLOAT_BITS
        _, counts = np.unique(weights, return_counts=True)
        of_weights = len(weights) * bits + table, _code_bits(counts, 2**bits) + table
    if zeros is None:
        return of_weights
    _, counts = np.unique(zeros, return_counts=True)
    return (
        of_weights[0] + len(zeros) * ZERO_BITS,
        of_weights[1] + _code_bits(counts, 2**ZERO_BITS),
    )


def entries(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the entries of a pruned kernel, row by row: weights, and how many zeros lie before each.

    Where 2^4 zeros or more do, a filler of weight 0 stands for each 2^4 of them: 15 zeros and its own.
    """
    flat = kernel.ravel()
    positions = np.flatnonzero(flat)
    before = np.diff(positions, prepend=-1) - 1
    step = 2**ZERO_BITS
    fillers = before // step
    last = np.cumsum(fillers + 1) - 1  # where each weight's own entry is, behind its fillers
    weights = np.zeros(last[-1] + 1 if len(last) else 0, kernel.dtype)
    zeros = np.full(len(weights), step - 1)
    weights[last] = flat[positions]
    zeros[last] = before % step
    return weights, zeros


def _code_bits(counts: np.ndarray, symbols: int) -> int:
    """Returns the bits of a text in Huffman's code, and of the code's lengths.

    Args:
      counts: how often each symbol that occurs does.
      symbols: how many there could be.
    """
    return word_bits(counts) + symbols * _LENGTH_BITS


def word_bits(counts: np.ndarray) -> int:
    """Returns the bits of a text in Huffman's code (1952), in which each symbol occurs this often.

    Every merging of two nodes puts one bit before each word below them.
    """
    heap = [int(count) for count in counts]
    if len(heap) == 1:
        return heap[0]  # a code's words have a bit at least
    heapq.heapify(heap)
    bits = 0
    for _ in itertools.repeat(None, len(heap) - 1):
        both = heapq.heappop(heap) + heapq.heappop(heap)
        bits += both
        heapq.heappush(heap, both)
    return bits


def _whole_bytes(bits: int) -> int:
    """Returns the bits, rounded up to whole bytes."""
    return bits + -bits % 8
