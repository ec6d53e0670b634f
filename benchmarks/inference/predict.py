"""Exact evaluation: every example of a split counts once, whatever the batch size and the number of devices."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from benchmarks.config.setup import Setup
from benchmarks.steps.eval_step import eval_batch_size
from benchmarks.tasks import metrics
from input_pipeline import datasets, loader


def split_batches(setup: Setup, dataset: datasets.Dataset, split: str) -> loader.Batches:
    """Returns this process's part of a split's batches, padded and masked, as a run's configuration says."""
    config = setup.config
    return loader.eval_batches(
        dataset,
        split,
        image_size=setup.eval_image_size,
        batch_size=eval_batch_size(setup),
        crop_fraction=config.crop_fraction,
        interpolation=config.interpolation,
        crops=config.eval_crops,
        num_workers=config.num_workers,
        shard_index=jax.process_index(),
        shard_count=jax.process_count(),
        max_unreadable_fraction=config.max_unreadable_fraction,
        max_pixels=config.max_pixels,
    )


def predict(
    eval_step: Callable[..., dict[str, jax.Array]],
    params: Any,
    batch_stats: Any,
    batches: Iterable[dict[str, jax.Array]],
) -> metrics.Predictions:
    """Returns what is predicted for every example that could be read, and its `index` in the split.

    Args:
      eval_step: what `steps.eval_step.make_eval_step` returns, compiled.
      params: the parameters.
      batch_stats: the batch statistics.
      batches: on the mesh, padded and masked.
    """
    per_batch = []
    # On the CPU, processes would mix up the exchanges of two steps under way at once; accelerators keep them in order.
    one_at_a_time = jax.process_count() > 1 and jax.default_backend() == "cpu"
    for batch in batches:
        per_batch.append(eval_step(params, batch_stats, batch))
        if one_at_a_time:
            jax.block_until_ready(per_batch[-1])
    fetched = jax.device_get(per_batch)
    whole = {name: np.concatenate([each[name] for each in fetched]) for name in fetched[0]}
    counted = np.flatnonzero(whole.pop("mask"))
    return {name: values[counted] for name, values in whole.items()} | {"index": counted}
