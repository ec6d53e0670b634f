"""One training step, a pure function over plain dicts of arrays that is compiled for a mesh of devices.

Only plain dicts cross `jax.jit`: dispatching hundreds of NNX variables costs several times what dispatching the same
arrays in dicts does. The batch is sharded over the mesh's `data` axis and the state is replicated, so that batch
statistics and gradients are those of the global batch on any number of devices.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from benchmarks import tasks
from benchmarks.steps import freezing
from benchmarks.steps.pure_model import PureModel
from input_pipeline import on_device, seeds

# What crosses `jax.jit`: params, batch_stats, opt_state, step; and ema (params and batch_stats) if wanted.
State = dict[str, Any]
# image uint8 [batch, height, width, 3], label in the task's form, mask float32 [batch] (0 marks padding).
Batch = dict[str, jax.Array]
# (state, batch, fraction of the run that is done) -> (state, metrics by name, each a scalar)
TrainStep = Callable[[State, Batch, jax.Array], tuple[State, dict[str, jax.Array]]]
# (params, batch_stats, examples, key) -> (gradients of what is trained, batch_stats, loss and `Task.train_metric`)
Differentiate = Callable[[dict, dict, Batch, jax.Array], tuple[dict, dict, dict[str, jax.Array]]]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a training step does besides the model and the optimizer.

    Attributes:
      learning_rate: a function of the fraction of the run that is done, a float32 scalar from 0 to below 1.
      label_smoothing: the fraction of each target that is spread over all it could be.
      positive_weights: one for each logit, see `tasks.positive_weights`; empty if all are 1.
      seed: the run's; dropout and each augmentation here derive their own keys from it and the step.
      random_erasing, mixup, cutmix: see `input_pipeline.on_device`; 0 turns them off.
      ema_decay: the decay of the exponential moving average of parameters and batch statistics; 0 turns it off.
      accumulation: how many parts the batch is split into, whose gradients are averaged.
      remat: whether to keep only the stages' outputs, and compute the rest again for the gradients.
      mesh: for batch statistics of each device alone; None for those of the global batch.
      frozen: the part of the model that no step changes.
    """

    learning_rate: Callable[[jax.Array], jax.Array]
    label_smoothing: float = 0.0
    positive_weights: tuple[float, ...] = ()
    seed: int = 0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    ema_decay: float = 0.0
    accumulation: int = 1
    remat: bool = False
    mesh: Mesh | None = None
    frozen: freezing.Frozen = freezing.NOTHING


def create_state(
    params: dict,
    batch_stats: dict,
    optimizer: optax.GradientTransformation,
    with_ema: bool = False,
    frozen: freezing.Frozen = freezing.NOTHING,
) -> State:
    """Returns the state of a run before its first step."""
    state = {
        "params": params,
        "batch_stats": batch_stats,
        # As one program: otherwise the zeros of each shape are one that is compiled.
        "opt_state": jax.jit(optimizer.init)(frozen.partition(params)[0]),
        "step": jnp.zeros((), jnp.int32),
    }
    if with_ema:
        # Copies, because the step that replaces a state consumes its arrays.
        weights = {"params": params, "batch_stats": batch_stats}
        state["ema"] = jax.tree.map(jnp.array, weights)
    return state


def final_weights(state: State) -> tuple[dict, dict]:
    """Returns (params, batch_stats) that a run is evaluated with: their averages if it has them."""
    weights = state.get("ema", state)
    return weights["params"], weights["batch_stats"]


def metric_names(task: tasks.Task) -> tuple[str, ...]:
    """Returns the names of a training step's metrics, sorted.

    loss (auxiliary losses included), the task's `train_metric` (on the training batch), gradient_norm (before clipping)
    and learning_rate.
    """
    return tuple(sorted(("loss", task.train_metric, "gradient_norm", "learning_rate")))


def make_train_step(
    model: PureModel,
    optimizer: optax.GradientTransformationExtraArgs,
    settings: Settings,
    read: Callable[[Any], Batch] = lambda batch: batch,
) -> TrainStep:
    """Returns the function (state, batch, progress) -> (state, metrics) of one optimization step, to be compiled.

    `progress` is the fraction of the run that is done, a float32 scalar from 0 to below 1, which schedules are of.

    The metrics are scalars, named as `metric_names` says.

    Args:
      model: what is trained.
      optimizer: how its weights are updated.
      settings: what else a step does.
      read: returns the batch from what the step is given, which is the batch itself unless pictures are on the devices.
    """
    differentiate = _make_gradients(model, settings)

    def train_step(
        state: State, batch: Batch, progress: jax.Array
    ) -> tuple[State, dict[str, jax.Array]]:
        def key(purpose: str) -> jax.Array:
            # The texts of the purposes are part of every published seed: others would draw other numbers.
            return jax.random.fold_in(seeds.key(settings.seed, purpose), state["step"])

        examples = _augmented(model, settings, read(batch), key)
        gradients, batch_stats, metrics = differentiate(
            state["params"], state["batch_stats"], examples, key("dropout")
        )
        learning_rate = settings.learning_rate(progress)
        trained, kept = settings.frozen.partition(state["params"])
        with jax.named_scope("optimizer"):
            updates, opt_state = optimizer.update(
                gradients, state["opt_state"], trained, learning_rate=learning_rate
            )
            metrics |= {
                "gradient_norm": optax.tree.norm(gradients),
                "learning_rate": learning_rate,
            }
            params = optax.apply_updates(trained, updates)
        after = {
            "params": freezing.merge(params, kept),
            "batch_stats": batch_stats,
            "opt_state": opt_state,
            "step": state["step"] + 1,
        }
        if "ema" in state:
            after["ema"] = _averaged(state, after, settings.ema_decay, settings.frozen)
        return after, metrics

    return train_step


def _augmented(
    model: PureModel, settings: Settings, batch: Batch, key: Callable[[str], jax.Array]
) -> Batch:
    """Returns the examples that a step learns from: image and target after erasing and mixing, label, mask.

    Args:
      model: says how images are normalized.
      settings: how much is erased and mixed.
      batch: the batch as it was read.
      key: returns this step's random key for a purpose.
    """
    images = model.normalize(batch["image"])
    targets = model.task.targets(batch["label"], model.num_logits, settings.label_smoothing)
    if settings.random_erasing:
        images = on_device.random_erasing(
            images, key("erasing"), probability=settings.random_erasing
        )
    images, targets = on_device.mix(
        images,
        targets,
        key("mixing"),
        mixup_alpha=settings.mixup,
        cutmix_alpha=settings.cutmix,
    )
    return {"image": images, "target": targets, "label": batch["label"], "mask": batch["mask"]}


def _averaged(before: State, after: State, decay: float, frozen: freezing.Frozen) -> dict:
    """Returns the moving averages; in the first steps they follow faster, as TensorFlow's do with a step count."""
    count = before["step"].astype(jnp.float32)
    ramped = jnp.minimum(decay, (1 + count) / (10 + count))
    averages = {}
    for name, average in before["ema"].items():
        # Even the average of equal numbers may differ from them in its last bit.
        new, kept = frozen.partition(after[name])
        mean = jax.tree.map(
            lambda old, new: ramped * old + (1 - ramped) * new, frozen.partition(average)[0], new
        )
        averages[name] = freezing.merge(mean, kept)
    return averages


def _make_gradients(model: PureModel, settings: Settings) -> Differentiate:
    """Returns the function that differentiates the loss of a batch with respect to what is trained."""
    loss: Callable = functools.partial(_loss_and_outputs, model, settings)
    if settings.remat:
        # Every stage names its output (models/classifier.py).
        keep = jax.checkpoint_policies.save_only_these_names(*model.stage_names)
        loss = jax.checkpoint(loss, policy=keep)
    differentiate: Differentiate = functools.partial(_of_a_batch, loss, settings.frozen)
    if settings.accumulation > 1:
        differentiate = functools.partial(_of_parts, differentiate, model, settings)
    if settings.mesh is not None:
        differentiate = _on_each_device(differentiate, settings.mesh)
    return differentiate


def _loss_and_outputs(
    model: PureModel,
    settings: Settings,
    trained: dict,
    kept: dict,
    batch_stats: dict,
    examples: Batch,
    key: jax.Array,
) -> tuple[jax.Array, tuple[dict, dict[str, jax.Array]]]:
    """Returns (loss, (batch statistics, metrics)) of the examples; `trained` and `kept` together are the parameters."""
    task = model.task
    module = model.merge(freezing.merge(trained, kept), batch_stats)
    logits, auxiliary = module.logits_and_auxiliary(
        examples["image"],
        train=True,
        rngs=nnx.Rngs(dropout=key),
        frozen=settings.frozen.stages,
    )
    losses = [
        _weighted_mean(
            task.loss(each, examples["target"], settings.positive_weights), examples["mask"]
        )
        for each in (logits, *auxiliary)
    ]
    loss = losses[0] + model.auxiliary_weight * sum(losses[1:])
    right = task.right(logits, examples["label"]).astype(jnp.float32)
    share = _weighted_mean(right, examples["mask"])
    batch_stats = nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))
    return loss, (batch_stats, {"loss": loss, task.train_metric: share})


def _of_a_batch(
    loss: Callable,
    frozen: freezing.Frozen,
    params: dict,
    batch_stats: dict,
    examples: Batch,
    key: jax.Array,
) -> tuple[dict, dict, dict[str, jax.Array]]:
    """Differentiates the loss of all examples at once; see `Differentiate`."""
    differentiate = jax.value_and_grad(loss, has_aux=True)
    (_, (batch_stats, metrics)), gradients = differentiate(
        *frozen.partition(params), batch_stats, examples, key
    )
    return gradients, batch_stats, metrics


def _of_parts(
    differentiate: Differentiate,
    model: PureModel,
    settings: Settings,
    params: dict,
    batch_stats: dict,
    examples: Batch,
    key: jax.Array,
) -> tuple[dict, dict, dict[str, jax.Array]]:
    """Differentiates one part of the batch after another and averages; see `Differentiate`."""
    parts = settings.accumulation
    # A part is every n-th example of the batch, n being the number of parts, so that a device works on its own ones.
    cut = jax.tree.map(
        lambda each: each.reshape(-1, parts, *each.shape[1:]).swapaxes(0, 1), examples
    )

    def add(carry: tuple, part: tuple) -> tuple[tuple, None]:
        sums, batch_stats = carry
        index, examples = part
        gradients, batch_stats, metrics = differentiate(
            params, batch_stats, examples, jax.random.fold_in(key, index)
        )
        return (jax.tree.map(jnp.add, sums, (gradients, metrics)), batch_stats), None

    zeros = jax.tree.map(jnp.zeros_like, settings.frozen.partition(params)[0])
    nothing = {"loss": jnp.zeros(()), model.task.train_metric: jnp.zeros(())}
    (sums, batch_stats), _ = jax.lax.scan(
        add, ((zeros, nothing), batch_stats), (jnp.arange(parts), cut)
    )
    gradients, metrics = jax.tree.map(lambda each: each / parts, sums)
    return gradients, batch_stats, metrics


def _on_each_device(differentiate: Differentiate, mesh: Mesh) -> Differentiate:
    """Returns what differentiates each device's part of the batch on its own, as `jax.pmap` did, and averages that."""
    (axis,) = mesh.axis_names

    def part(params, batch_stats, examples, key):
        key = jax.random.fold_in(key, jax.lax.axis_index(axis))
        return jax.lax.pmean(differentiate(params, batch_stats, examples, key), axis)

    everywhere, sharded = PartitionSpec(), PartitionSpec(axis)
    return jax.shard_map(
        part,
        mesh=mesh,
        in_specs=(everywhere, everywhere, sharded, everywhere),
        out_specs=everywhere,
        check_vma=False,
    )


def _weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1.0)
