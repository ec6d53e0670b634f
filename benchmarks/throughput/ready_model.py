"""A model that is ready to be timed without waiting for each step."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.config.setup import Setup
from benchmarks.inference import speed as inference_speed
from benchmarks.machine import queued_steps
from benchmarks.machine.mesh import create_mesh, place_batch, replicate
from benchmarks.steps.compile import compile_program
from benchmarks.steps.train_step import State
from benchmarks.weights.initial import initial_state


class ReadyModel:
    """A model that is compiled, with its state and one batch on the device."""

    def __init__(self, setup: Setup):
        self.setup = setup
        mesh = create_mesh()
        self.program = compile_program(setup, mesh, for_one=False)
        self._state = initial_state(setup, mesh)
        labels = setup.task.label_spec(setup.config.batch_size, setup.num_logits)
        self._batch = place_batch(inference_speed.random_batch(labels, setup.image_size), mesh)
        self._start_of_run = replicate(np.float32(0), mesh)

    def steps(self) -> dict[str, Callable[[], Any]]:
        """Returns the functions that begin a training step (`train`) and an inference (`infer`), and what comes out."""
        train_step = self.program.train_steps[self.setup.image_size]

        def train() -> State:
            self._state, _ = train_step(self._state, self._batch, self._start_of_run)
            return self._state

        def infer() -> dict[str, jax.Array]:
            weights = self._state["params"], self._state["batch_stats"]
            return self.program.eval_step(*weights, self._batch)

        return {"train": train, "infer": infer}

    def paces(self, seconds: float) -> dict[str, queued_steps.Pace]:
        """Returns the pace of training (`train`) and of inference (`infer`), each over at least so many seconds."""
        steps = self.steps()
        answers: list[dict[str, jax.Array]] = []

        def infer() -> None:
            answers.append(steps["infer"]())

        def wait_for_answers() -> None:
            jax.block_until_ready(answers)
            answers.clear()

        return {
            "train": queued_steps.measure(
                steps["train"], lambda: jax.block_until_ready(self._state), seconds
            ),
            "infer": queued_steps.measure(infer, wait_for_answers, seconds),
        }
