"""How images are normalised before a model sees them: (image / 255 - mean) / std, by channel."""

import jax
import jax.numpy as jnp

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_to_half(images: jax.Array) -> jax.Array:
    """Turns images normalised by ImageNet's mean and deviation into images normalised by 0.5 and 0.5.

    Weights that torchvision ported from TensorFlow want those: it is the `transform_input` of its GoogLeNet and
    Inception v3.
    """
    std = jnp.array(IMAGENET_STD, images.dtype)
    mean = jnp.array(IMAGENET_MEAN, images.dtype)
    return images * (std / 0.5) + (mean - 0.5) / 0.5
