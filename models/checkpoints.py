"""Which tensors of a checkpoint are a model's weights.

Training scripts put a state dict into an entry of their own (`state_dict`, `model`, `model_ema`), and wrappers put a
prefix before every name (`module.`, `_orig_mod.`, `backbone.`). The weights are the tensors whose names, without the
prefix, are those of the model, wherever they are.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np

from isobudget.wording import quoted, shorten
from models.errors import ModelError, enumerate_names, fitting
from models.timm_names import to_torchvision

COUNTER = "num_batches_tracked"
# What averages of weights count beside them, in PyTorch and in timm.
_COUNTERS = (COUNTER, "n_averaged", "num_updates")
# The share of a model's names that weights have at least. Less is chance, such as the `conv1` of one block.
_SMALLEST_SHARE = 0.5
_LONGEST_PREFIX = 4  # names with dots between them


@dataclasses.dataclass(frozen=True)
class _Match:
    """Tensors that may be the weights.

    Attributes:
      entry: where they lie in the file, with the prefix of their names but its last dot; "" is the file itself.
      tensors: by their names without the prefix.
      others: the names without the prefix in the same state dict.
      share: the share of the model's names that they have.
    """

    entry: str
    tensors: Mapping[str, np.ndarray]
    others: Sequence[str]
    share: float


def choose(
    state_dicts: Mapping[str, Mapping[str, np.ndarray]],
    model: str,
    expected: Set[str],
    *,
    entry: str | None = None,
    source: str = "the file",
) -> dict[str, np.ndarray]:
    """Returns the tensors that are the weights of a model, by their names without a wrapper's prefix.

    The only state dict of a file comes back as it is if its names are not the model's.

    Args:
      state_dicts: tensors by name, by where in the file they lie.
      model: a registered name, without options.
      expected: the names of the model's parameters and batch statistics, as torchvision has them.
      entry: where the weights lie, if the file holds several.
      source: what the message of an error calls the file.

    Raises:
      ModelError: no tensors, or several sets of them, that could be the weights.
    """
    matches = [
        match
        for where, tensors in state_dicts.items()
        for match in _matches(where, tensors, model, expected)
        if entry is None or f"{match.entry}.".startswith(f"{entry}.")
    ]
    if not matches:
        if entry is not None:
            raise ModelError(f"{source} holds no weights of {model} in its entry {quoted(entry)}.")
        if len(state_dicts) > 1:
            entries = _shown(list(state_dicts))
            raise ModelError(
                fitting(
                    lambda most: (
                        f"{source} holds {len(entries)} sets of tensors ({enumerate_names(entries, most)}),"
                        f" and none has the names of {model}."
                    )
                )
            )
        return dict(*state_dicts.values())
    best = max(match.share for match in matches)
    first, *rest = (match for match in matches if match.share == best)
    if any(not _equal(first.tensors, other.tensors) for other in rest):
        entries = _shown([match.entry for match in (first, *rest)])
        raise ModelError(
            fitting(
                lambda most: (
                    f"{source} holds {len(entries)} sets of weights that differ"
                    f" ({enumerate_names(entries, most)}): write the one you want into a file of its own with"
                    " python -m models.pretrained --entry=ENTRY."
                )
            )
        )
    if first.others:
        others = _shown(first.others)
        raise ModelError(
            fitting(
                lambda most: (
                    f"{source} does not fit {model}: beside the weights, in {shorten(first.entry, 40)}, there is"
                    f" {enumerate_names(others, most)}."
                )
            )
        )
    return dict(first.tensors)


def _matches(
    where: str, tensors: Mapping[str, np.ndarray], model: str, expected: Set[str]
) -> Iterator[_Match]:
    for prefix, count in _prefixes(tensors).items():
        if count < _SMALLEST_SHARE * len(expected):
            continue
        inside = {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        share = len(expected & to_torchvision(model, inside)[0].keys()) / len(expected)
        if share >= _SMALLEST_SHARE:
            others = [
                name
                for name in tensors
                if not name.startswith(prefix) and name.rpartition(".")[2] not in _COUNTERS
            ]
            yield _Match(_joined(where, prefix), inside, others, share)


def _prefixes(names: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Returns how many names begin with each prefix that a wrapper could have put before them, "" first."""
    counts = {"": len(names)}
    for name in names:
        parts = name.split(".", _LONGEST_PREFIX)
        for length in range(1, len(parts)):
            prefix = ".".join(parts[:length]) + "."
            counts[prefix] = counts.get(prefix, 0) + 1
    return counts


def _joined(where: str, prefix: str) -> str:
    return ".".join(filter(None, (where, prefix.removesuffix("."))))


def _shown(names: Sequence[str]) -> list[str]:
    return [shorten(name, 40) or "the file itself" for name in names]


def _equal(some: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> bool:
    return some.keys() == others.keys() and all(
        np.array_equal(tensor, others[name]) for name, tensor in some.items()
    )
