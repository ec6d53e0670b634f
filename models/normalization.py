"""ImageNet's statistics, by which images are normalized before a model sees them: (image / 255 - mean) / std."""

import jax
import jax.numpy as jnp

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_to_half(images: jax.Array) -> jax.Array:
    """Returns images that were normalized by ImageNet's mean and standard deviation as normalized by 0.5 and 0.5.

    This is the `transform_input` of torchvision's GoogLeNet and Inception v3, whose weights come from TensorFlow.
    """
    std = jnp.array(IMAGENET_STD, images.dtype)
    mean = jnp.array(IMAGENET_MEAN, images.dtype)
    return images * (std / 0.5) + (mean - 0.5) / 0.5
