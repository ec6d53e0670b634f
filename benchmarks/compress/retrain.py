"""Training that goes on after pruning, in which what was set to 0 stays 0 (Deep Compression, section 2)."""

import contextlib
import dataclasses

import jax
import numpy as np

from benchmarks.cli import progress
from benchmarks.errors import DivergedError
from benchmarks.inference.trained_model import TrainedModel
from benchmarks.machine.mesh import create_mesh, place_batch, replicate
from benchmarks.runs.pace import Counted
from benchmarks.steps.abstract import first_state
from benchmarks.steps.compile import compile_program
from benchmarks.steps.train_step import State, final_weights
from input_pipeline import augmentation, datasets, loader, seeds

_REPORT_EVERY_STEPS = 20


def retrain(
    trained: TrainedModel,
    dataset: datasets.Dataset,
    examples: int,
    rate: float,
    reporter: progress.Reporter,
) -> TrainedModel:
    """Returns the model after more training in the run's own way; weights of kernels that are 0 stay 0.

    Args:
      trained: a run's model.
      dataset: the run's.
      examples: how many to train on, repeats counted; whole batches of them are used.
      rate: the peak of the learning rate, of which the run's own schedule begins anew.
      reporter: is told how far it is.

    Raises:
      DivergedError: a loss is not finite.
    """
    config = trained.config
    setup = dataclasses.replace(trained.setup, learning_rate=rate)
    pace = Counted(examples // config.batch_size, setup.train_sizes)
    mesh = create_mesh()
    reporter.report(progress.Event("compiling"))
    program = compile_program(setup, mesh)
    # Copies, as the first step consumes what it is given.
    weights = jax.tree.map(np.array, jax.device_get((trained.params, trained.batch_stats)))
    state = replicate(first_state(setup, *weights), mesh)
    kept = _kept(state["params"])
    step = 0
    while stretch := pace.after(step, lambda: 0.0):
        batches = loader.train_batches(
            dataset,
            config.train_split,
            image_size=stretch.image_size,
            batch_size=config.batch_size,
            num_steps=stretch.read_end,
            # Another text than a run's: the order of examples is a new one.
            seed=seeds.derive(config.seed, "retraining"),
            start_step=stretch.first,
            augmentation=augmentation.create(config.augmentation),
            num_workers=config.num_workers,
            max_unreadable_fraction=config.max_unreadable_fraction,
            max_pixels=config.max_pixels,
        )
        with contextlib.closing(batches):
            for step in range(stretch.first + 1, stretch.end + 1):
                share = replicate(stretch.progress(step - 1), mesh)
                batch = place_batch(next(batches), mesh)
                state, values = program.train_steps[stretch.image_size](state, batch, share)
                state = _masked(state, kept)
                if step % _REPORT_EVERY_STEPS == 0 or step == pace.num_steps:
                    loss = float(values[program.metric_names.index("loss")])
                    if not np.isfinite(loss):
                        raise DivergedError(step, loss, float("nan"))
                    event = progress.Event("retraining", step, pace.num_steps, loss)
                    reporter.report(event)
    params, batch_stats = final_weights(state)
    return dataclasses.replace(trained, params=params, batch_stats=batch_stats)


def _kept(params: dict) -> dict:
    """Returns for each weight whether it may change: True, or of a kernel where it is not 0."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf != 0 if path[-1].key == "kernel" else True, params
    )


@jax.jit
def _masked(state: State, kept: dict) -> State:
    """Returns the state with pruned weights, and their averages, at 0."""

    def mask(params: dict) -> dict:
        return jax.tree.map(lambda leaf, kept: leaf * kept, params, kept)

    state = state | {"params": mask(state["params"])}
    if "ema" in state:
        state["ema"] = state["ema"] | {"params": mask(state["ema"]["params"])}
    return state
