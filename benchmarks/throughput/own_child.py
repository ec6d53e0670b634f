"""The process that times one of this suite's models for `peers`: training and inference, without waiting for each step.

It is asked for the configuration at a path, and answers with the images per second of each.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.config import stored
from benchmarks.config.setup import Setup
from benchmarks.inference import speed as inference_speed
from benchmarks.machine import child, queued_steps, startup
from benchmarks.machine.mesh import create_mesh, place_batch, replicate
from benchmarks.runs import validation
from benchmarks.steps.compile import compile_program
from benchmarks.weights.initial import initial_state
from isobudget.errors import UserError


def respond(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the images per second of a model, and the platform that it was measured on.

    Args:
      request: `config`, the path of a configuration; `num_logits`; `seconds` that are timed at least.

    Raises:
      UserError: there are several devices.
    """
    startup.use_compilation_cache()
    if jax.device_count() > 1:
        raise UserError(
            f"PyTorch is measured on one device, and JAX sees {jax.device_count()}: let it see one, such as by "
            "CUDA_VISIBLE_DEVICES=0."
        )
    config = stored.load(Path(request["config"]))
    setup = validation.checked(config, request["num_logits"])
    paces = _measure(setup, request["seconds"])
    return {
        "platform": jax.default_backend(),
        "paces": {
            kind: {
                "images_per_second": pace.steps_per_second * config.batch_size,
                "other_cores": pace.other_cores,
            }
            for kind, pace in paces.items()
        },
    }


def _measure(setup: Setup, seconds: float) -> dict[str, queued_steps.Pace]:
    """Returns the pace of training steps and of evaluation steps, on one batch that is on the device."""
    mesh = create_mesh()
    program = compile_program(setup, mesh)
    state = initial_state(setup, mesh)
    labels = setup.task.label_spec(setup.config.batch_size, setup.num_logits)
    batch = place_batch(inference_speed.random_batch(labels, setup.image_size), mesh)
    start_of_run = replicate(np.float32(0), mesh)
    train_step = program.train_steps[setup.image_size]

    def train() -> None:
        nonlocal state
        state, _ = train_step(state, batch, start_of_run)

    answers: list[dict[str, jax.Array]] = []

    def infer() -> None:
        answers.append(program.eval_step(state["params"], state["batch_stats"], batch))

    def wait_for_answers() -> None:
        jax.block_until_ready(answers)
        answers.clear()

    return {
        "train": queued_steps.measure(train, lambda: jax.block_until_ready(state), seconds),
        "infer": queued_steps.measure(infer, wait_for_answers, seconds),
    }


if __name__ == "__main__":
    child.answer(respond)
