"""Which part of a picture a decision rests on: Grad-CAM and occlusion."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import models
from benchmarks.inference import trained_model
from benchmarks.inference.trained_model import TrainedModel

_OCCLUDED = 0.25  # of a side
_POSITIONS = 13  # of the square, along a side
_BATCH = 32
STAGE = "stage:"  # the prefix of a stage's name in `PureModel.stage_names`


@dataclasses.dataclass(frozen=True)
class Look:
    """What a network makes of one picture.

    Attributes:
      logit: the highest one.
      maps: each stage's output [height, width, channels] by name, in order, float32.
      cams: each stage's Grad-CAM of that logit [height, width] by name, float32, not negative.
    """

    logit: int
    maps: dict[str, np.ndarray]
    cams: dict[str, np.ndarray]


def look(trained: TrainedModel, image: np.ndarray) -> Look:
    """Returns the stages' outputs and where in them the evidence for the highest logit lies.

    Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2; they use the last stage only.

    Args:
      trained: the model.
      image: uint8 [side, side, 3].
    """
    logit, maps, cams = jax.device_get(
        outputs_and_cams(trained.model, trained.params, trained.batch_stats, image[None])
    )
    # Dicts come out of `jax.jit` sorted.
    stages = [name.removeprefix(STAGE) for name in trained.model.stage_names]
    return Look(
        int(logit),
        {name: maps[name][0].astype(np.float32) for name in stages},
        {name: cams[name][0] for name in stages},
    )


@functools.partial(jax.jit, static_argnums=0)
def outputs_and_cams(model, params, batch_stats, images):
    """Returns (the highest logit, each stage's output, each stage's Grad-CAM of it) for a batch of one picture."""
    module = model.merge(params, batch_stats)
    images = model.normalize(images).astype(module.dtype or jnp.float32)
    mode = models.Mode()

    def forward(added):
        x, outputs = images, {}
        for name, stage in module.stages().items():
            x = stage(x, mode)
            outputs[name] = x = x + added[name] if added else x
        logits = module.classify(x, mode)[0].astype(jnp.float32)
        return logits.max(), (logits.argmax(), outputs)

    shapes = jax.eval_shape(lambda: forward({})[1][1])
    # The gradient with respect to what is added to a stage's output is that of the output: one pass for all stages.
    zeros = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), shapes)
    gradients, (logit, outputs) = jax.grad(forward, has_aux=True)(zeros)
    cams = {
        name: jax.nn.relu(jnp.sum(gradient.mean((1, 2), keepdims=True) * outputs[name], -1)).astype(
            jnp.float32
        )
        for name, gradient in gradients.items()
    }
    return logit, outputs, cams


def occlusion(trained: TrainedModel, image: np.ndarray, logit: int) -> np.ndarray:
    """Returns how much confidence in a class is lost where a gray square hides the picture.

    Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2. float32 [side, side]: for each pixel the mean over the squares
    that hide it; negative where the confidence grows.

    Args:
      trained: the model.
      image: uint8 [side, side, 3].
      logit: the index of the class.
    """
    side = len(image)
    square = max(1, round(side * _OCCLUDED))
    starts = np.unique(np.linspace(0, side - square, _POSITIONS).round().astype(int))
    corners = [(top, left) for top in starts for left in starts]
    hidden = np.repeat(image[None], len(corners) + 1, 0)
    gray = np.round(np.array(trained.model.mean) * 255).astype(np.uint8)
    for picture, (top, left) in zip(hidden[1:], corners, strict=True):
        picture[top : top + square, left : left + square] = gray
    whole, *others = confidences(trained, hidden)[0][:, logit]
    lost, covered = np.zeros((side, side)), np.zeros((side, side))
    for (top, left), confidence in zip(corners, others, strict=True):
        part = np.s_[top : top + square, left : left + square]
        lost[part] += whole - confidence
        covered[part] += 1
    return (lost / covered).astype(np.float32)


_confidences = jax.jit(trained_model.confidences, static_argnums=0)


def confidences(trained: TrainedModel, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the confidence of each logit, calibrated where the run is, and the raw one: both [images, num_logits].

    Args:
      trained: the model.
      images: uint8 [images, side, side, 3].
    """
    confident, raw = [], []
    for first in range(0, len(images), _BATCH):
        part = images[first : first + _BATCH]
        answer = _confidences(
            trained.model,
            trained.params,
            trained.batch_stats,
            filled(part, _BATCH),
            trained.temperature,
        )
        confident.append(np.asarray(answer["confidence"])[: len(part)])
        raw.append(np.asarray(answer["raw"])[: len(part)])
    return np.concatenate(confident), np.concatenate(raw)


def filled(images: np.ndarray, size: int) -> np.ndarray:
    """Returns the pictures with black ones up to a batch of `size`, so that one compiled program serves any number."""
    missing = size - len(images)
    return np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
