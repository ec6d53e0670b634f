"""The state of a run before its first step."""

from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

import models
from benchmarks.machine.mesh import replicate
from benchmarks.steps.abstract import DTYPES, _state, split_configured
from benchmarks.steps.train_step import State
from benchmarks.weights import transfer
from input_pipeline import seeds


def initial_state(config: ConfigDict, num_logits: int, num_steps: int, mesh: Mesh) -> State:
    """Returns the state before the first step, on every device."""
    rngs = nnx.Rngs(params=seeds.key(config.seed, "initialisation"))
    model = models.create(config.model, num_logits, rngs=rngs, dtype=DTYPES[config.dtype])
    _, params, batch_stats = split_configured(config, model)
    params, batch_stats = transfer.begin(config, params, batch_stats)
    return replicate(_state(config, params, batch_stats, num_steps), mesh)
