"""The process that times one of this suite's models for `peers`: training and inference, without waiting for each step.

It is asked, one after another, for the platform, to prepare the model of a configuration, and to time it.
"""

from typing import Any

import jax

from benchmarks.machine import child, queued_steps, startup
from benchmarks.throughput import handed_over, peers
from benchmarks.throughput.ready_model import ReadyModel


class Answers:
    """What this process is asked for, by the request's `do`."""

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer to a request.

        Args:
          request: `do` is `platform`; or `prepare`, with what `handed_over.request` gives; or `time`, with `seconds`
            that training and inference are timed at least.

        Raises:
          UserError: there are several devices, or too little memory.
        """
        match request["do"]:
            case "platform":
                return {"platform": _platform()}
            case "prepare":
                setup = handed_over.setup_of(request)
                with handed_over.out_of_memory_told(setup):
                    self._ready = ReadyModel(setup)
                return {}
            case _:
                with handed_over.out_of_memory_told(self._ready.setup):
                    paces = self._ready.paces(request["seconds"])
                return {"paces": queued_steps.told(paces, self._ready.setup.config.batch_size)}


def _platform() -> str:
    """Returns the platform of the only device.

    Raises:
      UserError: there are several.
    """
    startup.use_compilation_cache()
    peers.check_devices(jax.device_count())
    return jax.default_backend()


if __name__ == "__main__":
    child.answer(Answers())
