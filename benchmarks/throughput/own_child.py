"""The process that times one of this suite's models for `peers`: training and inference, without waiting for each step.

It is asked, one after another, for the platform, to prepare the model of a configuration, and to time it.
"""

from pathlib import Path
from typing import Any

import jax

from benchmarks.config import stored
from benchmarks.machine import child, queued_steps, startup
from benchmarks.runs import validation
from benchmarks.throughput.ready_model import ReadyModel
from isobudget.errors import UserError


class Answers:
    """What this process is asked for, by the request's `do`."""

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer to a request.

        Args:
          request: `do` is `platform`; or `prepare`, with `config`, the path of a configuration, and `num_logits`; or
            `time`, with `seconds` that training and inference are timed at least.

        Raises:
          UserError: there are several devices.
        """
        match request["do"]:
            case "platform":
                return {"platform": _platform()}
            case "prepare":
                config = stored.load(Path(request["config"]))
                self._ready = ReadyModel(validation.checked(config, request["num_logits"]))
                return {}
            case _:
                paces = self._ready.paces(request["seconds"])
                return {"paces": queued_steps.told(paces, self._ready.setup.config.batch_size)}


def _platform() -> str:
    """Returns the platform of the only device."""
    startup.use_compilation_cache()
    if jax.device_count() > 1:
        raise UserError(
            f"PyTorch is measured on one device, and JAX sees {jax.device_count()}: let it see one, such as by "
            "CUDA_VISIBLE_DEVICES=0."
        )
    return jax.default_backend()


if __name__ == "__main__":
    child.answer(Answers())
