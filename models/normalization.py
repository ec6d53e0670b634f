"""Images that were normalized otherwise: (image / 255 - mean) / std, with other statistics than a network's own."""

import jax
import jax.numpy as jnp

from isobudget import imagenet


def imagenet_to_half(images: jax.Array) -> jax.Array:
    """Returns images that were normalized by ImageNet's mean and standard deviation as normalized by 0.5 and 0.5.

    This is the `transform_input` of torchvision's GoogLeNet and Inception v3, whose weights come from TensorFlow.
    """
    std = jnp.array(imagenet.STD, images.dtype)
    mean = jnp.array(imagenet.MEAN, images.dtype)
    return images * (std / 0.5) + (mean - 0.5) / 0.5
