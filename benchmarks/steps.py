"""The compiled part of a run: a model as pure functions over plain dicts, one training step, one evaluation step.

Only plain dicts cross `jax.jit`: dispatching hundreds of NNX variables costs several times what dispatching the same
arrays in dicts does. The batch is sharded over the mesh's `data` axis and the state is replicated, so that batch
statistics and gradients are those of the global batch on any number of devices.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import models
from input_pipeline import on_device, seeds

# What crosses `jax.jit`: params, batch_stats, opt_state and step.
State = dict[str, Any]
# image uint8 [batch, height, width, 3], label int32 [batch], mask float32 [batch] (0 marks padding).
Batch = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class PureModel:
    """A model split into its graph and plain nested dicts of arrays.

    Attributes:
      graph: the modules' structure.
      mean, std: of each channel, for images scaled to 0..1.
      num_classes: the number of logits.
      auxiliary_weight: what each auxiliary loss is multiplied by.
    """

    graph: nnx.GraphDef
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    num_classes: int
    auxiliary_weight: float

    def merge(self, params: dict, batch_stats: dict) -> models.Classifier:
        return nnx.merge(self.graph, params, batch_stats, copy=True)

    def normalise(self, images: jax.Array) -> jax.Array:
        """Returns float32 images [batch, height, width, 3] of uint8 ones, with the model's mean and deviation."""
        mean = jnp.array(self.mean, jnp.float32) * 255
        std = jnp.array(self.std, jnp.float32) * 255
        return (images.astype(jnp.float32) - mean) / std

    def logits(self, params: dict, batch_stats: dict, images: jax.Array) -> jax.Array:
        """Returns float32 logits [batch, num_classes] of uint8 images, in evaluation mode.

        Of images [batch, crops, height, width, 3] the crops' softmax is averaged (Krizhevsky et al. 2012, section 4.1)
        and its logarithm returned.
        """
        module = self.merge(params, batch_stats)
        if images.ndim == 4:
            return module(self.normalise(images))
        batch, crops = images.shape[:2]
        logits = module(self.normalise(images.reshape(batch * crops, *images.shape[2:])))
        log_shares = jax.nn.log_softmax(logits).reshape(batch, crops, -1)
        return jax.nn.logsumexp(log_shares, axis=1) - jnp.log(crops)


def split(
    model: models.Classifier, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[PureModel, dict, dict]:
    """Returns (pure model, params, batch_stats), the last two as plain nested dicts of arrays.

    Args:
      model: of real or of abstract values.
      mean, std: of each channel, for images scaled to 0..1.
    """
    graph, params, batch_stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    pure = PureModel(graph, tuple(mean), tuple(std), model.num_classes, model.auxiliary_weight)
    return pure, nnx.to_pure_dict(params), nnx.to_pure_dict(batch_stats)


def initial_state(
    params: dict, batch_stats: dict, optimizer: optax.GradientTransformation
) -> State:
    """Returns the state of a run before its first step."""
    return {
        "params": params,
        "batch_stats": batch_stats,
        "opt_state": optimizer.init(params),
        "step": jnp.zeros((), jnp.int32),
    }


def make_train_step(
    model: PureModel,
    optimizer: optax.GradientTransformation,
    *,
    label_smoothing: float,
    seed: int,
    random_erasing: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> Callable[[State, Batch], tuple[State, dict[str, jax.Array]]]:
    """Returns the function (state, batch) -> (state, metrics) of one optimisation step, to be compiled.

    Args:
      model: the pure functions.
      optimizer: the transformation of gradients.
      label_smoothing: the share of each target that is spread over all classes.
      seed: the run's; dropout and each augmentation here derive their own keys from it and the step.
      random_erasing, mixup, cutmix: see `input_pipeline.on_device`; 0 is without.

    The metrics are scalars: loss (auxiliary losses included), top1 (on the training batch) and gradient_norm (before
    clipping).
    """

    def train_step(state: State, batch: Batch):
        images = model.normalise(batch["image"])

        def key(purpose: str) -> jax.Array:
            return jax.random.fold_in(seeds.key(seed, purpose), state["step"])

        targets = jax.nn.one_hot(batch["label"], model.num_classes)
        targets = optax.smooth_labels(targets, label_smoothing)
        if random_erasing:
            images = on_device.random_erasing(images, key("erasing"), probability=random_erasing)
        images, targets = on_device.mix(
            images, targets, key("mixing"), mixup_alpha=mixup, cutmix_alpha=cutmix
        )

        def loss_and_outputs(params):
            module = model.merge(params, state["batch_stats"])
            logits, auxiliary = module.logits_and_auxiliary(
                images, train=True, rngs=nnx.Rngs(dropout=key("dropout"))
            )
            losses = [
                _weighted_mean(optax.softmax_cross_entropy(each, targets), batch["mask"])
                for each in (logits, *auxiliary)
            ]
            loss = losses[0] + model.auxiliary_weight * sum(losses[1:])
            return loss, (logits, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat)))

        (loss, (logits, batch_stats)), gradients = jax.value_and_grad(
            loss_and_outputs, has_aux=True
        )(state["params"])
        updates, opt_state = optimizer.update(gradients, state["opt_state"], state["params"])
        metrics = {
            "loss": loss,
            "top1": _weighted_mean(_correct(logits, batch["label"], 1), batch["mask"]),
            "gradient_norm": optax.tree.norm(gradients),
        }
        state = {
            "params": optax.apply_updates(state["params"], updates),
            "batch_stats": batch_stats,
            "opt_state": opt_state,
            "step": state["step"] + 1,
        }
        return state, metrics

    return train_step


def make_eval_step(model: PureModel) -> Callable[[dict, dict, Batch], dict[str, jax.Array]]:
    """Returns the function (params, batch_stats, batch) -> sums over the batch's unmasked examples, to be compiled.

    The sums are scalars: loss (cross-entropy), top1, top5 (how many are right) and examples.
    """

    def eval_step(params: dict, batch_stats: dict, batch: Batch):
        logits = model.logits(params, batch_stats, batch["image"])
        mask, labels = batch["mask"], batch["label"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return {
            # A padded example's loss may be anything, infinity included.
            "loss": jnp.sum(jnp.where(mask > 0, losses, 0.0)),
            "top1": jnp.sum(_correct(logits, labels, 1) * mask),
            "top5": jnp.sum(_correct(logits, labels, 5) * mask),
            "examples": jnp.sum(mask),
        }

    return eval_step


def _weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1.0)


def _correct(logits: jax.Array, labels: jax.Array, k: int) -> jax.Array:
    """Returns float32 [batch]: 1 where the label is among the k highest logits. A tie counts for the lower class."""
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    classes = jnp.arange(logits.shape[-1])
    ahead = (logits > label_logits) | ((logits == label_logits) & (classes < labels[:, None]))
    # NaN is above nothing: without this, a model of NaNs would be right every time.
    return ((jnp.sum(ahead, -1) < k) & jnp.isfinite(label_logits[:, 0])).astype(jnp.float32)
