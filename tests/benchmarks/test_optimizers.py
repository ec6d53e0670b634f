import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import optimizers
from benchmarks.config import default_config


@pytest.fixture
def optimizer_config():
    config = default_config().optimizer
    config.clip_norm = 0.0
    return config


def test_warmup_cosine_rises_to_its_peak_and_falls_to_zero_at_the_last_step(optimizer_config):
    optimizer_config.warmup_fraction = 0.25
    rate = optimizers.create_schedule(optimizer_config, peak=2.0, steps=100)
    assert float(rate(0)) == 0.0
    assert float(rate(25)) == pytest.approx(2.0)
    assert float(rate(25 + 75 / 2)) == pytest.approx(1.0, abs=1e-6)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-7)


def test_weight_decay_spares_biases_and_norm_scales(optimizer_config):
    optimizer_config.weight_decay = 0.5
    optimizer_config.warmup_fraction = 0.0
    optimizer_config.schedule = "constant"
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    optimizer = optimizers.create_optimizer(optimizer_config, peak=0.1, steps=10)
    no_gradient = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(no_gradient, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.5)
    np.testing.assert_array_equal(updates["bias"], 0.0)


def test_sgd_decays_then_accumulates_then_scales_as_pytorch_does(optimizer_config):
    optimizer_config.name = "sgd"
    optimizer_config.schedule = "constant"
    optimizer_config.warmup_fraction = 0.0
    optimizer_config.weight_decay = 0.1
    optimizer = optimizers.create_optimizer(optimizer_config, peak=0.5, steps=10)
    params, gradient = jnp.full((1, 1), 2.0), jnp.full((1, 1), 1.0)
    state = optimizer.init(params)
    # By hand: the gradient with decay is 1 + 0.1 * 2 = 1.2; 2 - 0.5 * 1.2 = 1.4.
    updates, state = optimizer.update(gradient, state, params)
    params = params + updates
    assert float(params[0, 0]) == pytest.approx(1.4)
    # Then 1 + 0.1 * 1.4 = 1.14, velocity 0.9 * 1.2 + 1.14 = 2.22; 1.4 - 0.5 * 2.22 = 0.29.
    updates, state = optimizer.update(gradient, state, params)
    assert float((params + updates)[0, 0]) == pytest.approx(0.29)


def test_clipping_bounds_the_global_norm(optimizer_config):
    optimizer_config.name = "sgd"
    optimizer_config.momentum = 0.0
    optimizer_config.weight_decay = 0.0
    optimizer_config.schedule = "constant"
    optimizer_config.warmup_fraction = 0.0
    optimizer_config.clip_norm = 1.0
    optimizer = optimizers.create_optimizer(optimizer_config, peak=1.0, steps=10)
    params = jnp.zeros((2, 1))
    updates, _ = optimizer.update(jnp.array([[30.0], [40.0]]), optimizer.init(params), params)
    np.testing.assert_allclose(updates[:, 0], [-0.6, -0.8], rtol=1e-6)
