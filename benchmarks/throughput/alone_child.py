"""The process that measures one model alone for `survey`, so that whatever it takes of the device is free afterwards.

It is asked for what the machine is, or for the measurement of a model.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.config.setup import Setup
from benchmarks.machine import child, environment, startup
from benchmarks.throughput import handed_over, model_speed, roofline

# What a speed depends on besides the packages that every record names.
_PACKAGES = (
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
    "libtpu",
    "torch",
    "torchvision",
    "timm",
    "triton",
)
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_MEASURE: dict[str, Callable[[Setup], Iterable[Any]]] = {
    model_speed.Speed.__name__: lambda setup: [model_speed.measure(setup)],
    roofline.Roofline.__name__: roofline.measure,
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the answer to a request.

    Args:
      request: `do` is `machine`; or `measure`, with `kind`, the name of the class whose rows are asked for, and what
        `handed_over.request` gives.

    Raises:
      UserError: there is too little memory.
    """
    if request["do"] == "machine":
        return _machine()
    startup.use_compilation_cache()
    setup = handed_over.setup_of(request)
    with handed_over.out_of_memory_told(setup):
        return {"rows": [dataclasses.asdict(row) for row in _MEASURE[request["kind"]](setup)]}


def _machine() -> dict[str, Any]:
    """Returns this machine's hardware and software, without a peak, which differs by number type."""
    hardware = environment.hardware("float32")
    hardware.pop("peak_flops_per_second", None)
    if driver := _driver():
        hardware["driver"] = driver
    return {"hardware": hardware, "software": environment.software(_PACKAGES)}


def _driver() -> str | None:
    """Returns the version of NVIDIA's driver; None if there is none to be seen."""
    try:
        version = re.search(r"\b\d+\.\d+(\.\d+)?\b", _NVIDIA_DRIVER.read_text())
    except OSError:
        return None
    return version[0] if version else None


if __name__ == "__main__":
    child.answer(answer)
