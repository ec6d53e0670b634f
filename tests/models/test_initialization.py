"""A freshly made model can learn: at initialization nothing is NaN, dies or explodes, and every gradient is alive.

In bfloat16, in training mode and at a small size. A few models always, all by

    pytest -m slow tests/models
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from models.layers import Mode

CLASSES, BATCH = 10, 8
QUICKEST = {"alexnet", "squeezenet1_1", "resnet18", "mobilenet_v1"}


def image_size(name: str) -> int:
    # Large enough for batch statistics of the last stage to mean something.
    return max(64, models.info(name).min_size)


def fresh(name: str) -> models.Classifier:
    return models.create(name, CLASSES, dtype=jnp.bfloat16, rngs=nnx.Rngs(params=0))


ALWAYS = [
    pytest.param(n, marks=[] if n in QUICKEST else [pytest.mark.slow]) for n in models.names()
]


@pytest.mark.parametrize("name", ALWAYS)
def test_activations_neither_die_nor_explode_with_depth(name, seeded):
    def spread(model, images):
        mode = Mode(train=True, rngs=nnx.Rngs(dropout=0))
        x, spreads = images.astype(jnp.bfloat16), {}
        for stage, function in model.stages().items():
            x = function(x, mode)
            spreads[stage] = jnp.std(x.astype(jnp.float32)), jnp.mean(x != 0)
        return spreads, model.classify(x, mode).astype(jnp.float32)

    spreads, logits = seeded.run(fresh(name), spread, seeded.images(BATCH, image_size(name)))
    for stage, (deviation, alive) in spreads.items():
        assert 1e-3 < deviation < 1e3, stage
        assert alive > 0.05, stage
    assert np.isfinite(logits).all()
    assert 1e-6 < np.std(logits) < 1e3


@pytest.mark.parametrize("name", [n for n in models.names() if n != "tiny"])  # the tests' own
def test_the_last_layer_starts_small_as_in_the_published_code(name):
    # With He's initial values there, too, AlexNet starts a task of 100 classes at a loss of 8.
    model = models.create(name, 100, rngs=nnx.Rngs(params=0))
    kernel = np.asarray(functools.reduce(getattr, model.head.split("."), model).kernel[...])
    uniform = models.info(name).family == "resnet"
    expected = math.sqrt(1 / (3 * kernel.shape[-2])) if uniform else 0.01
    assert kernel.std() == pytest.approx(expected, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_parameter_receives_a_gradient(name, seeded):
    def differentiate(model, images):
        graph, parameters, rest = nnx.split(model, nnx.Param, ...)

        def loss(parameters):
            model = nnx.merge(graph, parameters, rest, copy=True)
            answer = model.logits_and_auxiliary(images, train=True, rngs=nnx.Rngs(dropout=0))
            labels = jnp.arange(BATCH) % CLASSES
            losses = [
                -jnp.mean(jax.nn.log_softmax(each)[jnp.arange(BATCH), labels])
                for each in (answer[0], *answer[1])
            ]
            return sum(losses)

        return jax.tree.map(lambda leaf: jnp.abs(leaf).max(), jax.grad(loss)(parameters))

    largest = seeded.run(fresh(name), differentiate, seeded.images(BATCH, image_size(name)))
    for path, variable in nnx.to_flat_state(largest):
        value = float(variable[...])
        assert np.isfinite(value), path
        assert value > 0, path
