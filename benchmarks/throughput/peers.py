"""How fast models train and infer beside the same networks in PyTorch, in turns, each in a process of its own.

A turn is this suite's model, then PyTorch's network in each of its memory formats, of which the faster counts. While
one is timed, nothing of the others is there. All have the same settings of the memory allocator, with which PyTorch is
faster too. Other work on the machine slows them unequally: a ratio beside it says nothing, and is marked.
"""

import dataclasses
import importlib.util
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import models
from benchmarks.config import stored
from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.machine import child, load, neighbors
from benchmarks.runs.folder import CONFIG_FILE, as_text
from benchmarks.throughput import torch_networks
from isobudget.wording import quoted, shown

TORCH = "torch"
MEMORY_FORMATS = ("contiguous", "channels_last")

_OWN_CHILD = ("-m", "benchmarks.throughput.own_child")
_TORCH_CHILD = (str(Path(__file__).with_name("torch_child.py")),)
# How long training, and inference, are timed at least in each process, after steps that warm up.
_SECONDS = 3.0
# The cores that others may keep busy, in the mean, on a machine that is called quiet.
_QUIET_CORES = 0.1
_OPTIMIZER_FIELDS = (
    "name",
    "weight_decay",
    "decay_all",
    "decay_depthwise",
    "beta1",
    "beta2",
    "momentum",
    "nesterov",
    "clip_norm",
)


@dataclasses.dataclass(frozen=True)
class PeerSpeed:
    """One model's speed here and in PyTorch.

    Attributes:
      optimizer: what both train with, gradient clipping included.
      threads: the cores that each of them computes on.
      peer: the other library and its version.
      peer_network: the package and the name of its network.
      peer_compiled: whether it was compiled by `torch.compile`.
      turns: how many times all were measured; of the figures below, medians are given.
      train_images_per_second, infer_images_per_second: this suite's.
      peer_train_images_per_second, peer_infer_images_per_second: the peer's, in the memory format that is faster.
      peer_train_format, peer_infer_format: that format, `contiguous` or `channels_last`.
      train_ratio, infer_ratio: this suite's over the peer's, the median of the turns' own ratios.
      train_ratio_low, train_ratio_high, infer_ratio_low, infer_ratio_high: the least and the largest of these.
      load_before_turns: how many cores were busy with other work before each turn, with spaces between the numbers.
      most_other_cores: how many were at most, before a turn or while something was timed.
      alone: whether there was no other work to speak of; if there was, the ratios say nothing.
    """

    model: str
    image_size: int
    batch_size: int
    dtype: str
    optimizer: str
    threads: int
    peer: str
    peer_network: str
    peer_compiled: bool
    turns: int
    train_images_per_second: float
    peer_train_images_per_second: float
    peer_train_format: str
    train_ratio: float
    train_ratio_low: float
    train_ratio_high: float
    infer_images_per_second: float
    peer_infer_images_per_second: float
    peer_infer_format: str
    infer_ratio: float
    infer_ratio_low: float
    infer_ratio_high: float
    load_before_turns: str
    most_other_cores: float
    alone: bool


@dataclasses.dataclass(frozen=True)
class Turn:
    """What one turn measured.

    Attributes:
      load_before: how many cores were busy with other work before it.
      most_other_cores: how many were at most, before it or while something was timed.
      version: PyTorch's.
      own: this suite's images per second, in `train` and in `infer`.
      peer: PyTorch's, by memory format.
    """

    load_before: float
    most_other_cores: float
    version: str
    own: Mapping[str, float]
    peer: Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Images per second of two, from several turns.

    Attributes:
      own, peer: the medians.
      memory_format: the peer's faster one.
      ratio, low, high: own / peer, the median, the least and the largest of the turns' own ratios.
    """

    own: float
    peer: float
    memory_format: str
    ratio: float
    low: float
    high: float


def check(peers: Sequence[str], specs: Sequence[str]) -> None:
    """Checks that the peers can be compared with, and have all of the models.

    Raises:
      ConfigError: another peer than PyTorch, no such network there, or a package that is not installed.
      models.ModelError: there is no such model.
    """
    for peer in peers:
        if peer != TORCH:
            raise ConfigError(
                f"models are compared with {TORCH} alone, not {quoted(peer)}; with --input, reading is with others."
            )
    packages = {torch_networks.find(spec).package for spec in specs}
    missing = [each for each in (TORCH, *sorted(packages)) if not _is_installed(each)]
    if missing:
        raise ConfigError(
            f"comparing with PyTorch needs {' and '.join(missing)}; run pip install 'isobudget[parity]'"
        )


def measure(setup: Setup, *, turns: int, compiled: bool = False) -> PeerSpeed:
    """Returns a model's speed beside PyTorch's, at its image size, batch size, dtype and optimizer.

    Args:
      setup: the model's.
      turns: how many times all are measured.
      compiled: whether PyTorch's network is compiled by `torch.compile`.

    Raises:
      ConfigError: PyTorch's packages do not have the model, or its optimizer is not compared.
      ChildError: a process failed, such as for want of memory.
    """
    config, network = setup.config, torch_networks.find(setup.model)
    request = _torch_request(setup, network, compiled)
    measured = [_turn(setup, request, f"turn {turn} of {turns}") for turn in range(1, turns + 1)]
    training, inference = (
        compare(
            [turn.own[kind] for turn in measured],
            {each: [turn.peer[each][kind] for turn in measured] for each in MEMORY_FORMATS},
        )
        for kind in ("train", "infer")
    )
    most = max(turn.most_other_cores for turn in measured)
    return PeerSpeed(
        model=setup.model,
        image_size=setup.image_size,
        batch_size=config.batch_size,
        dtype=config.dtype,
        optimizer=config.optimizer.name,
        threads=load.cores(),
        peer=f"{TORCH} {measured[0].version}",
        peer_network=str(network),
        peer_compiled=compiled,
        turns=turns,
        train_images_per_second=training.own,
        peer_train_images_per_second=training.peer,
        peer_train_format=training.memory_format,
        train_ratio=training.ratio,
        train_ratio_low=training.low,
        train_ratio_high=training.high,
        infer_images_per_second=inference.own,
        peer_infer_images_per_second=inference.peer,
        peer_infer_format=inference.memory_format,
        infer_ratio=inference.ratio,
        infer_ratio_low=inference.low,
        infer_ratio_high=inference.high,
        load_before_turns=" ".join(f"{turn.load_before:.2f}" for turn in measured),
        most_other_cores=most,
        alone=most <= _QUIET_CORES,
    )


def compare(own: Sequence[float], peer: Mapping[str, Sequence[float]]) -> Comparison:
    """Returns the ratio of speeds and its range over turns, against the peer's format that is faster in the median.

    Args:
      own: this suite's images per second in each turn.
      peer: the peer's, by memory format.
    """
    fastest = max(peer, key=lambda each: float(np.median(peer[each])))
    ratios = np.divide(own, peer[fastest])
    return Comparison(
        own=float(np.median(own)),
        peer=float(np.median(peer[fastest])),
        memory_format=fastest,
        ratio=float(np.median(ratios)),
        low=float(ratios.min()),
        high=float(ratios.max()),
    )


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _turn(setup: Setup, request: Mapping[str, Any], which: str) -> Turn:
    """Measures this suite's model, then PyTorch's network in each format, and says which other work there was."""
    before = load.other_cores()
    print(f"{which}: {_busy(before)} with other work before it", file=sys.stderr, flush=True)
    if before > _QUIET_CORES:
        _warn(f"before {which} of {setup.model}, {_busy(before)} with other work{_trainings()}")
    own = _ask_own(setup)
    theirs = {
        each: child.ask(
            _TORCH_CHILD,
            {**request, "memory_format": each, "platform": own["platform"]},
            "PyTorch's process",
        )
        for each in MEMORY_FORMATS
    }
    paces = [pace for told in (own, *theirs.values()) for pace in told["paces"].values()]
    during = max(pace["other_cores"] for pace in paces)
    if during > _QUIET_CORES >= before:
        _warn(f"during {which} of {setup.model}, {_busy(during)} with other work{_trainings()}")
    return Turn(
        load_before=before,
        most_other_cores=max(before, during),
        version=theirs[MEMORY_FORMATS[0]]["version"],
        own=_speeds(own),
        peer={each: _speeds(told) for each, told in theirs.items()},
    )


def _ask_own(setup: Setup) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG_FILE
        path.write_text(as_text(stored.to_plain(setup.config)))
        request = {"config": str(path), "num_logits": setup.num_logits, "seconds": _SECONDS}
        return child.ask(_OWN_CHILD, request, f"the process of {setup.model}")


def _torch_request(setup: Setup, network: torch_networks.Network, compiled: bool) -> dict[str, Any]:
    """Returns what PyTorch's process is asked, but for `memory_format` and `platform` ("cpu" or "gpu").

    Raises:
      ConfigError: the optimizer is not compared.
    """
    config = setup.config
    if config.optimizer.name not in ("adamw", "sgd"):
        raise ConfigError(
            f"PyTorch is compared with adamw and sgd, not {shown(config.optimizer.name)}."
        )
    return {
        "network": dataclasses.asdict(network),
        "num_classes": setup.num_logits,
        "auxiliary_weight": models.create_abstract(config.model).auxiliary_weight,
        "batch_size": config.batch_size,
        "image_size": setup.image_size,
        "dtype": config.dtype,
        "optimizer": {field: config.optimizer[field] for field in _OPTIMIZER_FIELDS},
        "compile": compiled,
        "threads": load.cores(),
        "seconds": _SECONDS,
    }


def _speeds(told: Mapping[str, Any]) -> dict[str, float]:
    return {kind: pace["images_per_second"] for kind, pace in told["paces"].items()}


def _busy(cores: float) -> str:
    return f"{cores:.1f} of {load.cores()} cores were busy"


def _trainings() -> str:
    """Returns which trainings of this suite's there are on this host, in brackets; empty if none."""
    runs = sorted(neighbors.runs())
    return f" (among it the training of {', '.join(runs)})" if runs else ""


def _warn(what: str) -> None:
    print(f"warning: {what}; a ratio measured beside it says nothing.", file=sys.stderr, flush=True)
