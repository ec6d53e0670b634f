"""Which part of a picture a decision rests on: Grad-CAM and occlusion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import models
from benchmarks.trained import Trained

_OCCLUDED = 0.25  # of a side
_POSITIONS = 13  # of the square, along a side
_BATCH = 32


def grad_cam(found: Trained, image: np.ndarray, logit: int) -> dict[str, np.ndarray]:
    """Returns each stage's Grad-CAM of a logit by name, float32 [height, width], not negative.

    Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2; they take the last stage.

    Args:
      found: the model.
      image: uint8 [side, side, 3].
      logit: which one.
    """
    maps = _grad_cam(found.model, found.params, found.batch_stats, image[None], logit)
    return {name: np.asarray(each[0]) for name, each in maps.items()}


@functools.partial(jax.jit, static_argnums=0)
def _grad_cam(model, params, batch_stats, images, logit):
    module = model.merge(params, batch_stats)
    images = model.normalise(images).astype(module.dtype or jnp.float32)
    mode = models.Mode()

    def forward(added):
        x, outputs = images, {}
        for name, stage in module.stages().items():
            x = stage(x, mode)
            outputs[name] = x = x + added[name] if added else x
        return module.classify(x, mode)[:, logit].astype(jnp.float32).sum(), outputs

    shapes = jax.eval_shape(lambda: forward({})[1])
    # The gradient by what is added to a stage's output is the gradient by that output: one pass for all stages.
    zeros = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), shapes)
    gradients, outputs = jax.grad(forward, has_aux=True)(zeros)
    return {
        name: jax.nn.relu(jnp.sum(gradient.mean((1, 2), keepdims=True) * outputs[name], -1)).astype(
            jnp.float32
        )
        for name, gradient in gradients.items()
    }


def occlusion(found: Trained, image: np.ndarray, logit: int) -> np.ndarray:
    """Returns how much of the softmax confidence in a class is lost where a grey square hides the picture.

    Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2. float32 [side, side]: for each pixel the mean over the squares
    that hide it; negative where the confidence grows.

    Args:
      found: the model.
      image: uint8 [side, side, 3].
      logit: the class.
    """
    side = len(image)
    square = max(1, round(side * _OCCLUDED))
    starts = np.unique(np.linspace(0, side - square, _POSITIONS).round().astype(int))
    corners = [(top, left) for top in starts for left in starts]
    hidden = np.repeat(image[None], len(corners) + 1, 0)
    grey = np.round(np.array(found.model.mean) * 255).astype(np.uint8)
    for picture, (top, left) in zip(hidden[1:], corners, strict=True):
        picture[top : top + square, left : left + square] = grey
    whole, *others = confidences(found, hidden)[:, logit]
    lost, covered = np.zeros((side, side)), np.zeros((side, side))
    for (top, left), confidence in zip(corners, others, strict=True):
        part = np.s_[top : top + square, left : left + square]
        lost[part] += whole - confidence
        covered[part] += 1
    return (lost / covered).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _softmax(model, params, batch_stats, images):
    return jax.nn.softmax(model.logits(params, batch_stats, images))


def confidences(found: Trained, images: np.ndarray) -> np.ndarray:
    """Returns the softmax [images, classes] of any number of images."""
    rows = []
    for first in range(0, len(images), _BATCH):
        part = images[first : first + _BATCH]
        padded = np.concatenate([part, np.zeros((_BATCH - len(part), *part.shape[1:]), np.uint8)])
        answer = _softmax(found.model, found.params, found.batch_stats, padded)
        rows.append(np.asarray(answer)[: len(part)])
    return np.concatenate(rows)
