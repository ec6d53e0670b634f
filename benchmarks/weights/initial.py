"""The state of a run before its first step."""

import jax
from flax import nnx
from jax.sharding import Mesh

import models
from benchmarks.config.setup import Setup
from benchmarks.machine.mesh import replicate
from benchmarks.steps.abstract import DTYPES, first_state, split_configured
from benchmarks.steps.train_step import State
from benchmarks.weights import transfer
from input_pipeline import seeds


def initial_state(setup: Setup, mesh: Mesh) -> State:
    """Returns the state before the first step, on every device."""
    config = setup.config
    # The text is part of every published seed: another spelling would draw other weights.
    key: jax.Array = seeds.key(config.seed, "initialisation")
    model = models.create(
        config.model, setup.num_logits, rngs=nnx.Rngs(params=key), dtype=DTYPES[config.dtype]
    )
    _, params, batch_stats = split_configured(setup, model)
    params, batch_stats = transfer.begin(config, params, batch_stats)
    return replicate(first_state(setup, params, batch_stats), mesh)
