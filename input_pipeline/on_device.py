"""Random augmentation of a whole batch in the training step: erasing a part of each image, mixing pairs of images.

Pure functions for use under `jax.jit`. They see the global batch, so that results do not depend on how it is sharded.
Images are [batch, height, width, 3] after normalization, in float32 or bfloat16; targets are float32
[batch, num_classes]. Erase first, then mix, as torchvision's reference does.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

_ERASED_AREA = (0.02, 0.33)
_ERASED_RATIO = (0.3, 3.3)
_ERASING_TRIES = 10


def random_erasing(images: Array, key: Array, *, probability: float) -> Array:
    """Returns the images, each with this probability with a rectangle of zeros, the mean color after normalization.

    It covers 2 to 33% of the area; its sides are in a ratio from 0.3 to 3.3. Of ten draws the first that is smaller
    than the image counts; if there is none, the image stays as it is. Zhong et al. 2017 (arXiv:1708.04896),
    algorithm 1; torchvision's `RandomErasing`.

    Args:
      images: [batch, height, width, 3].
      key: draws for each image separately.
      probability: the chance that an image loses a rectangle, 0 to 1.
    """
    batch, height, width, _ = images.shape
    happens_key, area_key, ratio_key, top_key, left_key = jax.random.split(key, 5)
    tries = (batch, _ERASING_TRIES)
    area = height * width * _uniform(area_key, tries, *_ERASED_AREA)
    ratio = jnp.exp(_uniform(ratio_key, tries, *map(math.log, _ERASED_RATIO)))
    tall = jnp.round(jnp.sqrt(area * ratio)).astype(jnp.int32)
    wide = jnp.round(jnp.sqrt(area / ratio)).astype(jnp.int32)
    fits = (tall < height) & (wide < width)
    first = jnp.argmax(fits, axis=1, keepdims=True)
    tall, wide = (jnp.take_along_axis(sides, first, 1)[:, 0] for sides in (tall, wide))
    # Where no draw fits, the upper bounds may be below 1; what comes out is not used.
    top = jax.random.randint(top_key, (batch,), 0, height - tall + 1)
    left = jax.random.randint(left_key, (batch,), 0, width - wide + 1)
    happens = fits.any(axis=1) & (_uniform(happens_key, (batch,), 0, 1) < probability)
    inside = (
        _inside(top, top + tall, height)[:, :, None] & _inside(left, left + wide, width)[:, None]
    )
    erased = happens[:, None, None] & inside
    return jnp.where(erased[..., None], jnp.zeros_like(images), images)


def mixup(images: Array, targets: Array, key: Array, *, alpha: float) -> tuple[Array, Array]:
    """Returns images and targets averaged with those of the example before, which for the first is the last.

    The example's own share is drawn from Beta(alpha, alpha) once a batch. Zhang et al. 2017 (arXiv:1710.09412),
    section 2; torchvision's `MixUp`.

    Args:
      images: [batch, height, width, 3].
      targets: [batch, num_classes].
      key: draws the share.
      alpha: above 0; 1 makes all shares equally likely, less favors those near 0 and 1.
    """
    share = jax.random.beta(key, alpha, alpha, dtype=jnp.float32)
    return _average(images, share), _average(targets, share)


def cutmix(images: Array, targets: Array, key: Array, *, alpha: float) -> tuple[Array, Array]:
    """Returns the images with a box from the example before, and targets averaged by the areas.

    1 minus a draw from Beta(alpha, alpha) is the box's area; its center is anywhere, and what lies outside is cut off,
    after which the area counts that is left. One box a batch. Yun et al. 2019 (arXiv:1905.04899), section 3.1;
    torchvision's `CutMix`.

    Args:
      images: [batch, height, width, 3].
      targets: [batch, num_classes].
      key: draws the box.
      alpha: above 0.
    """
    _, height, width, _ = images.shape
    share_key, row_key, column_key = jax.random.split(key, 3)
    half = 0.5 * jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha, dtype=jnp.float32))
    rows = _cut_side(row_key, half, height)
    columns = _cut_side(column_key, half, width)
    inside = rows[:, None] & columns
    mixed = jnp.where(inside[..., None], jnp.roll(images, 1, axis=0), images)
    share = 1 - rows.sum() * columns.sum() / (height * width)
    return mixed, _average(targets, share.astype(jnp.float32))


def mix(
    images: Array, targets: Array, key: Array, *, mixup_alpha: float, cutmix_alpha: float
) -> tuple[Array, Array]:
    """Returns images and targets after `mixup` or `cutmix`, one of the two at random.

    An alpha of 0 leaves its method out; if both are 0, nothing changes. This is torchvision's reference recipe.

    Args:
      images: [batch, height, width, 3].
      targets: [batch, num_classes].
      key: draws the method and its random numbers.
      mixup_alpha: 0 or above.
      cutmix_alpha: 0 or above.
    """
    choice_key, key = jax.random.split(key)

    def by_mixup(images: Array, targets: Array) -> tuple[Array, Array]:
        return mixup(images, targets, key, alpha=mixup_alpha)

    def by_cutmix(images: Array, targets: Array) -> tuple[Array, Array]:
        return cutmix(images, targets, key, alpha=cutmix_alpha)

    if mixup_alpha and cutmix_alpha:
        chosen = jax.random.bernoulli(choice_key)
        return jax.lax.cond(chosen, by_mixup, by_cutmix, images, targets)
    if mixup_alpha:
        return by_mixup(images, targets)
    if cutmix_alpha:
        return by_cutmix(images, targets)
    return images, targets


def _average(values: Array, share: Array) -> Array:
    """Returns `share` of each example and the rest of the one before, in the values' type."""
    mixed = share * values + (1 - share) * jnp.roll(values, 1, axis=0)
    return mixed.astype(values.dtype)


def _cut_side(key: Array, half: Array, length: int) -> Array:
    """Returns which of `length` pixels lie in a box that reaches `half` of the length both ways, bool [length]."""
    center = jax.random.randint(key, (), 0, length)
    reach = (half * length).astype(jnp.int32)
    return _inside(center - reach, center + reach, length)


def _inside(start: Array, stop: Array, length: int) -> Array:
    """Returns which pixels lie from `start` to before `stop`, bool [..., length]."""
    pixels = jnp.arange(length)
    return (pixels >= start[..., None]) & (pixels < stop[..., None])


def _uniform(key: Array, shape: tuple[int, ...], low: float, high: float) -> Array:
    return jax.random.uniform(key, shape, jnp.float32, low, high)
