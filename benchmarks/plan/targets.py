"""The accelerators that a plan is for, none of which need be here."""

import contextlib
import dataclasses
import importlib.resources
import importlib.util
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from benchmarks.errors import ConfigError
from benchmarks.machine import peaks
from isobudget.wording import quoted

# JAX's name for a chip of each generation.
_TPUS = {"v5e": "TPU v5 lite", "v5p": "TPU v5p", "v6e": "TPU v6 lite"}
# What libtpu leaves to programs, by its own messages about programs that are too large.
_TPU_USABLE_GIBIBYTES = {"v5e": 15.75, "v5p": 95.74, "v6e": 31.25}
# How Google Cloud calls a slice of each, before the number of its cores.
_TPU_TYPES = {"v5e": "v5litepod", "v5p": "v5p", "v6e": "v6e"}
_GPUS = {
    "a100": "NVIDIA A100-SXM4-80GB",
    "h100": "NVIDIA H100 80GB HBM3",
    "h200": "NVIDIA H200",
    "b200": "NVIDIA B200",
}
_GPUS_OF_A_HOST = 8
# The part of a GPU's memory that JAX takes for itself unless XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise.
_GPU_USABLE = 0.75
# A plan must not look for the metadata server of a TPU machine, nor keep other plans from loading libtpu.
_TPU_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_EXAMPLES = "v5e:4x8, v6e:2x4, v5p:2x2x2, h100, h100:8, h200, a100, b200, cpu or cpu:8"


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices of one kind that steps are compiled for.

    Attributes:
      name: as the user wrote it, such as `v5e:4x8`.
      platform: `tpu`, `gpu` or `cpu`.
      model: the kind, such as `v5e`.
      topology: how they are connected, as XLA has it; empty on a CPU.
      devices: how many there are.
    """

    name: str
    platform: str
    model: str
    topology: str
    devices: int

    @property
    def sheet(self) -> peaks.DataSheet | None:
        """What the maker says of one device; None of a CPU."""
        kind = (_TPUS | _GPUS).get(self.model)
        return peaks.data_sheet(kind) if kind else None

    @property
    def usable_bytes(self) -> int | None:
        """The memory of one device that programs can have; None of a CPU."""
        if self.platform == "tpu":
            return int(_TPU_USABLE_GIBIBYTES[self.model] * 2**30)
        return int(_GPU_USABLE * self.sheet.memory_bytes) if self.sheet else None

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process that compiles for it must be started with."""
        needed = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
        if self.platform == "tpu":
            slices = {"TPU_ACCELERATOR_TYPE": f"{_TPU_TYPES[self.model]}-{self.devices}"}
            return needed | _TPU_ENVIRONMENT | slices
        if self.platform == "cpu":
            given = os.environ.get("XLA_FLAGS", "")
            needed["XLA_FLAGS"] = f"{given} --xla_force_host_platform_device_count={self.devices}"
        return needed

    def check_installed(self) -> None:
        """Checks that what compiles for it is installed.

        Raises:
          ConfigError: it is not; the message says what to install.
        """
        if self.platform == "tpu" and importlib.util.find_spec("libtpu") is None:
            raise ConfigError(
                f"--target={self.name} needs libtpu, which compiles for TPUs: pip install 'isobudget[tpu]'."
            )
        if self.platform == "gpu" and not any(map(_is_installed, ("cuda13", "cuda12"))):
            raise ConfigError(
                f"--target={self.name} needs JAX's CUDA plugin, which compiles for GPUs: pip install "
                "'isobudget[cuda]'."
            )

    def make_devices(self) -> list[Any]:
        """Returns the devices, for a mesh that programs are compiled for, in a process with `environment`.

        Raises:
          ConfigError: there is no such topology.
        """
        import jax
        from jax.experimental import topologies

        if self.platform == "cpu":
            return jax.devices("cpu")[: self.devices]
        options: dict[str, Any] = {}
        if self.platform == "tpu":
            if self.devices == 1:
                options["chips_per_host_bounds"] = (1, 1, 1)
            options["platform"], name = "tpu", self.name
        else:
            options["target_config"], options["topology"] = description(self.model), self.topology
            options["platform"], name = "cuda", self.model
        try:
            return list(topologies.get_topology_desc(topology_name=name, **options).devices)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"--target={self.name}: XLA knows no such devices: {reason}"
            ) from error


def description(gpu: str) -> str:
    """Returns what XLA's compiler is told of a GPU: the text of a GpuTargetConfigProto."""
    return (importlib.resources.files(__package__) / "gpus" / f"{gpu}.txtpb").read_text()


def _is_installed(cuda: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(f"jax_plugins.xla_{cuda}") is not None
    return False


def parse(name: str) -> Target:
    """Returns the target of a name.

    Raises:
      ConfigError: there is none of this name.
    """
    model, separated, size = name.partition(":")
    if model in _TPUS:
        return _parse_slice(name, model, size)
    if model in _GPUS or model == "cpu":
        if separated and not re.fullmatch(r"[1-9]\d{0,3}", size):
            raise ConfigError(f"--target={name}: a number of devices is written {model}:8.")
        number = int(size or 1)
        if model == "cpu":
            return Target(name, "cpu", model, "", number)
        if number > _GPUS_OF_A_HOST and number % _GPUS_OF_A_HOST:
            raise ConfigError(
                f"--target={name}: beyond one host, GPUs are counted in whole hosts of {_GPUS_OF_A_HOST}."
            )
        hosts = max(1, number // _GPUS_OF_A_HOST)
        return Target(name, "gpu", model, f"1x{hosts}x{number // hosts}", number)
    raise ConfigError(f"--target is {_EXAMPLES}, not {quoted(name)}.")


def _parse_slice(name: str, model: str, shape: str) -> Target:
    dimensions = 3 if model == "v5p" else 2
    example = f"{model}:2x2x2" if dimensions == 3 else f"{model}:2x4"
    if not re.fullmatch("x".join([r"[1-9]\d{0,2}"] * dimensions), shape):
        raise ConfigError(f"--target={name}: the shape of a slice is written such as {example}.")
    sides = [int(side) for side in shape.split("x")]
    devices = math.prod(sides)
    if devices > 1 and any(side % 2 for side in sides[:2]):
        raise ConfigError(
            f"--target={name}: a slice is a single chip or made of hosts of 2x2 chips, such as {example}."
        )
    return Target(name, "tpu", model, shape, devices)
