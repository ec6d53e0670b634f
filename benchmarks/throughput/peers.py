"""How fast models train and infer beside the same networks in PyTorch, in turns, each in a process of its own.

All are compiled first. A turn is then this suite's model, and PyTorch's network in each of its memory formats, of which
the faster counts. While one is timed, the others wait. All have the same settings of the memory allocator, with which
PyTorch is faster too. Other work on the machine slows them unequally: a ratio beside it says nothing, and is marked.
"""

import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import models
from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.machine import child, load, neighbors
from benchmarks.machine.child import ChildError
from benchmarks.throughput import handed_over, torch_networks
from isobudget.errors import UserError
from isobudget.wording import quoted, shown

TORCH = "torch"
MEMORY_FORMATS = ("contiguous", "channels_last")

_OWN_CHILD = ("-m", "benchmarks.throughput.own_child")
_TORCH_CHILD = (str(Path(__file__).with_name("torch_child.py")),)
# JAX would take most of a GPU's memory at its start, and PyTorch's process needs some.
_OWN_ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
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
class Manner:
    """How models and their peers are measured.

    Attributes:
      turns: how many times.
      seconds: how long training, and inference, are timed at least in each turn, after steps that warm up.
      formats: PyTorch's memory formats, of `MEMORY_FORMATS`.
      compiled: whether PyTorch's networks are compiled by `torch.compile`.
      at_once: how many models are compiled before the first of them is timed, their peers all at once.
    """

    turns: int = 3
    seconds: float = 3.0
    formats: Sequence[str] = MEMORY_FORMATS
    compiled: bool = False
    at_once: int = 1


@dataclasses.dataclass(frozen=True)
class PeerSpeed:
    """One model's speed here and in PyTorch.

    Attributes:
      platform: what both compute on, `cpu` or `gpu`.
      optimizer: what both train with, gradient clipping included.
      threads: the cores that each of them has.
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
    platform: str
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
      own: this suite's images per second, in `train` and in `infer`.
      peer: PyTorch's, by memory format.
    """

    load_before: float
    most_other_cores: float
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


def check_names(peers: Sequence[str]) -> None:
    """Checks that these are peers that models can be compared with.

    Raises:
      ConfigError: another than PyTorch.
    """
    for peer in peers:
        if peer != TORCH:
            raise ConfigError(
                f"models are compared with {TORCH} alone, not {quoted(peer)}; with --input, reading is with others."
            )


def check_networks(specs: Sequence[str]) -> None:
    """Checks that PyTorch and its packages have all of the models.

    Raises:
      ConfigError: there is no such network, or a package is not installed.
      models.ModelError: there is no such model.
    """
    packages = {torch_networks.find(spec).package for spec in specs}
    missing = [each for each in (TORCH, *sorted(packages)) if not _is_installed(each)]
    if missing:
        raise ConfigError(
            f"comparing with PyTorch needs {' and '.join(missing)}; run pip install 'isobudget[parity]'"
        )


def check_devices(count: int) -> None:
    """Checks that JAX sees as many devices as PyTorch is measured on.

    Raises:
      UserError: it sees several.
    """
    if count > 1:
        raise UserError(
            f"PyTorch is measured on one device, and JAX sees {count}: let it see one, such as by "
            "CUDA_VISIBLE_DEVICES=0."
        )


def measure(setups: Sequence[Setup], manner: Manner) -> Iterator[PeerSpeed | ChildError]:
    """Yields each model's speed beside PyTorch's, at its image size, batch size, dtype and optimizer.

    Where a process fails, such as for want of memory, it yields that error instead.

    Args:
      setups: the models'.
      manner: how they are measured.

    Raises:
      ConfigError: PyTorch's packages do not have a model, or its optimizer is not compared.
    """
    for setup in setups:
        _torch_request(setup, manner)
    for start in range(0, len(setups), manner.at_once):
        with contextlib.ExitStack() as stack:
            group = setups[start : start + manner.at_once]
            pairs = [stack.enter_context(_Pair(setup, manner)) for setup in group]
            prepared = _prepare(pairs)
            for pair, failure in zip(pairs, prepared, strict=True):
                try:
                    yield failure or pair.speed()
                except ChildError as error:
                    yield error
                pair.close()


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


def _prepare(pairs: Sequence["_Pair"]) -> list[ChildError | None]:
    """Compiles models one after another, then their peers, all at once; returns of each why that fails if it does.

    On a GPU, XLA chooses kernels by timing them as it compiles, and chooses badly if others compute there meanwhile.
    """
    failures = [_failure(pair.prepare_own) for pair in pairs]
    with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
        theirs = [
            pool.submit(_failure, pair.prepare_theirs) if failure is None else None
            for pair, failure in zip(pairs, failures, strict=True)
        ]
        return [
            failure if told is None else told.result()
            for failure, told in zip(failures, theirs, strict=True)
        ]


def _failure(prepare: Callable[[], None]) -> ChildError | None:
    try:
        prepare()
    except ChildError as error:
        return error
    return None


class _Pair:
    """The processes of a model: this suite's, and PyTorch's in each of its memory formats."""

    def __init__(self, setup: Setup, manner: Manner):
        self._setup = setup
        self._manner = manner
        self._own = child.Child(_OWN_CHILD, f"the process of {setup.model}", _OWN_ENVIRONMENT)
        self._theirs = {
            each: child.Child(_TORCH_CHILD, f"PyTorch's process of {setup.model}")
            for each in manner.formats
        }
        self._platform = self._version = ""

    def __enter__(self) -> "_Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes."""
        for each in (self._own, *self._theirs.values()):
            each.close()

    def prepare_own(self) -> None:
        """Compiles the model.

        Raises:
          ChildError: that fails.
        """
        self._platform = self._own.ask({"do": "platform"})["platform"]
        with handed_over.request(self._setup) as request:
            self._own.ask({"do": "prepare"} | request)

    def prepare_theirs(self) -> None:
        """Compiles PyTorch's networks, all at once.

        Raises:
          ChildError: that fails.
        """
        request = _torch_request(self._setup, self._manner) | {
            "do": "prepare",
            "platform": self._platform,
        }
        with concurrent.futures.ThreadPoolExecutor() as pool:
            theirs = [
                pool.submit(each.ask, request | {"memory_format": memory_format})
                for memory_format, each in self._theirs.items()
            ]
            *_, told = [each.result() for each in theirs]
        self._version = told["version"]

    def speed(self) -> PeerSpeed:
        """Returns what all turns measure.

        Raises:
          ChildError: a process failed.
        """
        setup, manner = self._setup, self._manner
        config = setup.config
        measured = [
            self._turn(f"turn {turn} of {manner.turns}") for turn in range(1, manner.turns + 1)
        ]
        training, inference = (
            compare(
                [turn.own[kind] for turn in measured],
                {each: [turn.peer[each][kind] for turn in measured] for each in manner.formats},
            )
            for kind in ("train", "infer")
        )
        most = max(turn.most_other_cores for turn in measured)
        return PeerSpeed(
            model=setup.model,
            image_size=setup.image_size,
            batch_size=config.batch_size,
            dtype=config.dtype,
            platform=self._platform,
            optimizer=config.optimizer.name,
            threads=load.cores(),
            peer=f"{TORCH} {self._version}",
            peer_network=str(torch_networks.find(setup.model)),
            peer_compiled=manner.compiled,
            turns=manner.turns,
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

    def _turn(self, which: str) -> Turn:
        """Times this suite's model, then PyTorch's network in each format, and says which other work there was."""
        model = self._setup.model
        before = load.other_cores()
        print(f"{which}: {_busy(before)} with other work before it", file=sys.stderr, flush=True)
        if before > _QUIET_CORES:
            _warn(f"before {which} of {model}, {_busy(before)} with other work{_trainings()}")
        request = {"do": "time", "seconds": self._manner.seconds}
        own = self._own.ask(request)["paces"]
        theirs = {name: each.ask(request)["paces"] for name, each in self._theirs.items()}
        paces = [pace for told in (own, *theirs.values()) for pace in told.values()]
        during = max(pace["other_cores"] for pace in paces)
        if during > _QUIET_CORES >= before:
            _warn(f"during {which} of {model}, {_busy(during)} with other work{_trainings()}")
        return Turn(
            load_before=before,
            most_other_cores=max(before, during),
            own=_speeds(own),
            peer={name: _speeds(told) for name, told in theirs.items()},
        )


def _torch_request(setup: Setup, manner: Manner) -> dict[str, Any]:
    """Returns what PyTorch's process needs to prepare a network, but for `memory_format` and `platform`.

    Raises:
      ConfigError: PyTorch's packages do not have the model, or its optimizer is not compared.
    """
    config = setup.config
    if config.optimizer.name not in ("adamw", "sgd"):
        raise ConfigError(
            f"PyTorch is compared with adamw and sgd, not {shown(config.optimizer.name)}."
        )
    return {
        "network": dataclasses.asdict(torch_networks.find(setup.model)),
        "num_classes": setup.num_logits,
        "auxiliary_weight": models.create_abstract(config.model).auxiliary_weight,
        "batch_size": config.batch_size,
        "image_size": setup.image_size,
        "dtype": config.dtype,
        "optimizer": {field: config.optimizer[field] for field in _OPTIMIZER_FIELDS},
        "compile": manner.compiled,
        "threads": load.cores(),
    }


def _speeds(paces: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {kind: pace["images_per_second"] for kind, pace in paces.items()}


def _busy(cores: float) -> str:
    return f"{cores:.1f} of {load.cores()} cores were busy"


def _trainings() -> str:
    """Returns which trainings of this suite's there are on this host, in brackets; empty if none."""
    runs = sorted(neighbors.runs())
    return f" (among it the training of {', '.join(runs)})" if runs else ""


def _warn(what: str) -> None:
    print(f"warning: {what}; a ratio measured beside it says nothing.", file=sys.stderr, flush=True)
