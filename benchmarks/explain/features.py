"""What the channels of a network's stages respond to: feature maps, pictures and synthetic inputs that excite them.

Filters and the pictures that excite a channel most: Zeiler and Fergus 2014, arXiv:1311.2901. The input that excites it
most: Erhan et al. 2009, "Visualizing higher-layer features of a deep network", as Olah et al. 2017, "Feature
visualization", doi:10.23915/distill.00007, find it: gradient ascent on the Fourier coefficients of a picture, each
scaled by its wavelength, and the picture is shifted at random before each step.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import models
from benchmarks.explain.attribution import filled
from benchmarks.inference.trained_model import TrainedModel

_LEARNING_RATE = 0.3
_BLUR = 0.25  # cycles a pixel: where a coefficient is scaled to 1 / e
_BATCH = 64
_CHUNK = 8  # synthetic inputs that are made at once


def first_filters(trained: TrainedModel) -> np.ndarray:
    """Returns the kernels of the convolution that reads the picture, [filters, height, width, 3 for RGB]."""
    filters = np.asarray(first_kernel(trained.module()).get_value()).transpose(3, 0, 1, 2)
    return filters[..., ::-1] if trained.model.channel_order == "bgr" else filters


def first_kernel(module: models.Classifier) -> nnx.Param:
    """Returns the kernel of the convolution that reads the picture, [height, width, 3, filters]: the only one of 3."""
    (kernel,) = (
        node
        for path, node in nnx.iter_graph(module)
        if isinstance(node, nnx.Param) and path[-1] == "kernel" and _reads_pictures(node.shape)
    )
    return kernel


def _reads_pictures(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[2] == 3


def strongest_channels(maps: Mapping[str, np.ndarray], count: int) -> dict[str, list[int]]:
    """Returns, for each stage, the channels whose mean over [height, width, channels] is highest, highest first."""
    means = {name: each.mean((0, 1)) for name, each in maps.items()}
    return {name: np.argsort(-mean, kind="stable")[:count].tolist() for name, mean in means.items()}


@functools.partial(jax.jit, static_argnums=0)
def _peaks(model, params, batch_stats, images, channels):
    outputs = model.merge(params, batch_stats).stage_outputs(model.normalize(images))
    return {
        name: outputs[name][..., chosen].max((1, 2)).astype(jnp.float32)
        for name, chosen in channels.items()
    }


def peak_activations(
    trained: TrainedModel, images: np.ndarray, channels: Mapping[str, list[int]]
) -> dict[str, np.ndarray]:
    """Returns, for each stage, the highest value anywhere in each picture: [pictures, channels asked for].

    Args:
      trained: the model.
      images: the pictures, uint8 [pictures, side, side, 3].
      channels: by stage.
    """
    if not len(images):
        return {name: np.zeros((0, len(each)), np.float32) for name, each in channels.items()}
    chosen = {name: jnp.array(each) for name, each in channels.items()}
    per_batch = [
        _peaks(
            trained.model,
            trained.params,
            trained.batch_stats,
            filled(images[first : first + _BATCH], _BATCH),
            chosen,
        )
        for first in range(0, len(images), _BATCH)
    ]
    fetched = jax.device_get(per_batch)
    return {
        name: np.concatenate([each[name] for each in fetched])[: len(images)] for name in channels
    }


def synthetic_inputs(
    trained: TrainedModel,
    channels: Mapping[str, list[int]],
    widths: Mapping[str, int],
    *,
    steps: int,
    gray: bool,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Returns, for each stage, pictures that excite its channels, uint8 [channels asked for, side, side, 3].

    Args:
      trained: the model.
      channels: by stage.
      widths: how many channels each stage has.
      steps: how many steps of gradient ascent.
      gray: make gray pictures only, for a network that has seen no color.
      seed: of the random starting points and shifts.
    """
    asked = [(name, channel) for name, each in channels.items() for channel in each]
    pictures = []
    for first in range(0, len(asked), _CHUNK):
        chunk = asked[first : first + _CHUNK]
        wanted = {name: np.zeros((_CHUNK, width), np.float32) for name, width in widths.items()}
        for row, (name, channel) in enumerate(chunk):
            wanted[name][row, channel] = 1
        key = jax.random.fold_in(jax.random.key(seed), first)
        static = (trained.model, trained.image_size, steps, gray)
        pictures += [
            *np.asarray(_ascend(*static, trained.params, trained.batch_stats, wanted, key))
        ][: len(chunk)]
    ends = np.cumsum([len(each) for each in channels.values()])[:-1]
    return dict(zip(channels, np.split(np.stack(pictures), ends), strict=True))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _ascend(model, side, steps, gray, params, batch_stats, wanted, key):
    """Returns uint8 [batch, side, side, 3]; `wanted` has 1 at each picture's channel, [batch, channels] by stage."""
    module = model.merge(params, batch_stats)
    shape = (_CHUNK, side, side // 2 + 1, 1 if gray else 3, 2)
    scale = _wavelengths(side)

    def picture(spectrum):
        waves = jax.lax.complex(spectrum[..., 0], spectrum[..., 1]) * scale
        values = jnp.fft.irfft2(waves, s=(side, side), axes=(1, 2), norm="ortho")
        return jnp.broadcast_to(jax.nn.sigmoid(values), (_CHUNK, side, side, 3))

    def excitation(spectrum, shift):
        shifted = jnp.roll(picture(spectrum), shift, (1, 2))
        outputs = module.stage_outputs(model.normalize(255 * shifted))
        excited = [jnp.sum(outputs[name].mean((1, 2)) * each, -1) for name, each in wanted.items()]
        each = jnp.asarray(sum(excited), jnp.float32)
        return each.sum(), each

    optimizer = optax.adam(_LEARNING_RATE)
    reach = max(1, side // 16)

    def step(carry, key):
        spectrum, state = carry
        shift_key, noise_key = jax.random.split(key)
        shift = jax.random.randint(shift_key, (2,), -reach, reach + 1)
        gradient, excited = jax.grad(excitation, has_aux=True)(spectrum, shift)
        update, state = optimizer.update(-gradient, state)
        # A rectified channel that is silent has no gradient: such a picture starts anew.
        silent = (excited <= 0)[:, None, None, None, None]
        fresh = jax.random.normal(noise_key, shape)
        return (jnp.where(silent, fresh, spectrum + update), state), None

    key, start_key = jax.random.split(key)
    spectrum = 0.1 * jax.random.normal(start_key, shape)
    (spectrum, _), _ = jax.lax.scan(
        step, (spectrum, optimizer.init(spectrum)), jax.random.split(key, steps)
    )
    return jnp.round(255 * picture(spectrum)).astype(jnp.uint8)


def _wavelengths(side: int) -> np.ndarray:
    """Returns the scale of each Fourier coefficient, [side, side // 2 + 1, 1].

    Natural pictures fall off as 1 / f; the finest detail is damped even more, because networks respond to it and people
    see nothing in it.
    """
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    scale = np.exp(-((frequency / _BLUR) ** 2)) / np.maximum(frequency, 1 / side)
    return (scale / np.sqrt(side))[..., None].astype(np.float32)
