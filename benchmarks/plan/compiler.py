"""The process that compiles one step of one model for a target.

It is asked once, with a configuration, a target and the step, and answers with what XLA says of the program. The
program's text goes into a file.
"""

import gzip
import logging
import time
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from benchmarks.config import stored
from benchmarks.config.setup import Setup
from benchmarks.errors import first_line
from benchmarks.machine import child
from benchmarks.machine.mesh import create_mesh
from benchmarks.plan import targets
from benchmarks.runs import validation
from benchmarks.steps.compile import lower_evaluation, lower_training

_MEMORY = {
    "argument_bytes": "argument_size_in_bytes",
    "output_bytes": "output_size_in_bytes",
    "aliased_bytes": "alias_size_in_bytes",
    "temporary_bytes": "temp_size_in_bytes",
}


def compile_step(request: dict[str, Any]) -> dict[str, Any]:
    """Returns what compiling a step gave: bytes of memory on each device and `compile_seconds`, or `problem`.

    Args:
      request: `config`, the path of a configuration that is resolved; `num_logits`; `target`, a name; `side`, the image
        side of a training step, None for the evaluation step; and `text`, the file that gets the program's text,
        compressed by gzip.
    """
    config = stored.load(Path(request["config"]))
    setup = validation.checked(config, request["num_logits"])
    devices = targets.parse(request["target"]).make_devices()
    began = time.perf_counter()
    try:
        compiled = _lowered(setup, create_mesh(devices), request["side"]).compile()
    except Exception as error:  # whatever XLA, or somebody's network, raises: the row says so
        return {"problem": _whole_line(error), "compile_seconds": time.perf_counter() - began}
    seconds = time.perf_counter() - began
    memory = compiled.memory_analysis()
    with gzip.open(request["text"], "wt") as file:
        file.write(compiled.as_text() or "")
    sizes = {name: getattr(memory, field) for name, field in _MEMORY.items()}
    return sizes | {"compile_seconds": seconds}


def _lowered(setup: Setup, mesh: Mesh, side: int | None) -> jax.stages.Lowered:
    if side is None:
        return lower_evaluation(setup, mesh)
    return lower_training(setup, mesh, sides=[side])[side]


def _whole_line(error: Exception) -> str:
    """Returns what an error says in one line; what XLA says of memory comes first on its second."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    of_memory = [line for line in lines if "hbm" in line.lower() or "out of memory" in line.lower()]
    return of_memory[0][:400] if of_memory else first_line(error)


if __name__ == "__main__":
    # A plugin says at length that its accelerator is not here, which is known.
    logging.getLogger("jax._src.xla_bridge").setLevel(logging.CRITICAL)
    child.answer(compile_step)
