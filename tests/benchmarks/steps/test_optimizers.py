import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.config.fields import default_config
from benchmarks.errors import ConfigError
from benchmarks.steps import optimizers


@pytest.fixture
def optimizer_config():
    config = default_config().optimizer
    config.clip_norm = 0.0
    config.warmup_fraction = 0.0
    return config


def _rates(config, *progress: float, peak: float = 1.0) -> list[float]:
    rate = jax.jit(lambda at: optimizers.learning_rate(config, at, peak))
    return [float(rate(jnp.float32(each))) for each in progress]


def _train(config, params, gradients, rates):
    """Returns the parameters after each step with the gradient and the learning rate given."""
    optimizer = optimizers.create_optimizer(config)
    state, seen = optimizer.init(params), []
    for gradient, rate in zip(gradients, rates, strict=True):
        updates, state = optimizer.update(gradient, state, params, learning_rate=rate)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return seen


def test_warmup_cosine_rises_to_its_peak_and_falls_to_zero_at_the_last_step(optimizer_config):
    optimizer_config.warmup_fraction = 0.25
    rates = _rates(optimizer_config, 0.0, 0.125, 0.25, 0.25 + 0.75 / 2, 1.0, peak=2.0)
    assert rates == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0], abs=1e-6)


def test_a_schedule_squeezed_into_three_hundred_steps_is_optaxs_of_three_hundred(optimizer_config):
    optimizer_config.warmup_fraction = 0.1
    reference = optax.warmup_cosine_decay_schedule(0.0, 0.3, 30, 300)
    ours = _rates(optimizer_config, *(np.arange(300, dtype=np.float32) / 300), peak=0.3)
    np.testing.assert_allclose(ours, [reference(step) for step in range(300)], atol=1e-7)


@pytest.mark.parametrize(
    ("schedule", "progress", "factors"),
    [
        ("constant", (0.1, 0.2, 0.6, 1.0), (0.5, 1.0, 1.0, 1.0)),
        ("linear", (0.1, 0.2, 0.6, 1.0), (0.5, 1.0, 0.5, 0.0)),
        ("step", (0.1, 0.32, 1 / 3, 0.66, 2 / 3, 1.0), (0.5, 1.0, 0.1, 0.1, 0.01, 0.01)),
        ("exponential", (0.1, 0.2, 0.3, 0.49, 0.5, 1.0), (0.5, 1.0, 0.9, 0.9, 0.81, 0.6561)),
    ],
)
def test_schedules_follow_a_warmup_over_a_fifth(optimizer_config, schedule, progress, factors):
    optimizer_config.schedule = schedule
    optimizer_config.warmup_fraction = 0.2
    optimizer_config.exponential_rate, optimizer_config.exponential_every = 0.9, 0.25
    assert _rates(optimizer_config, *progress) == pytest.approx(factors, rel=1e-5, abs=1e-7)


def test_step_drops_where_and_by_how_much_it_is_told(optimizer_config):
    optimizer_config.schedule = "step"
    optimizer_config.step_fractions = (0.25, 0.5, 0.75)
    optimizer_config.step_factor = 0.5
    assert _rates(optimizer_config, 0.2, 0.3, 0.6, 0.9) == pytest.approx([1, 0.5, 0.25, 0.125])


@pytest.mark.parametrize("steps", [90, 300, 5004 * 90])
def test_drops_fall_on_the_step_they_are_meant_for_in_runs_of_any_length(optimizer_config, steps):
    optimizer_config.schedule = "step"
    third = steps // 3
    at = np.array([third - 1, third, 2 * third - 1, 2 * third], np.float32) / np.float32(steps)
    assert _rates(optimizer_config, *at) == pytest.approx([1, 0.1, 0.1, 0.01], rel=1e-5)


def test_weight_decay_spares_what_it_is_told_to_spare(optimizer_config):
    optimizer_config.weight_decay = 0.5
    params = {
        "kernel": jnp.ones((2, 2)),
        "depthwise": jnp.ones((3, 3, 1, 2)),
        "bias": jnp.ones(2),
    }
    no_gradient = jax.tree.map(jnp.zeros_like, params)

    def shrunk() -> set[str]:
        (after,) = _train(optimizer_config, params, [no_gradient], [0.1])
        values = {name: float(jnp.min(leaf)) for name, leaf in after.items()}
        small = {name for name, value in values.items() if value != 1}
        assert [values[name] for name in small] == pytest.approx([1 - 0.1 * 0.5] * len(small))
        return small

    assert shrunk() == {"kernel", "depthwise"}
    optimizer_config.decay_depthwise = False
    assert shrunk() == {"kernel"}
    optimizer_config.decay_all = True
    assert shrunk() == {"kernel", "bias"}
    optimizer_config.decay_depthwise = True
    assert shrunk() == {"kernel", "depthwise", "bias"}


def test_sgd_decays_then_accumulates_then_scales_as_pytorch_does(optimizer_config):
    optimizer_config.name = "sgd"
    optimizer_config.weight_decay = 0.1
    gradient = jnp.ones((1, 1))
    first, second = _train(optimizer_config, jnp.full((1, 1), 2.0), [gradient] * 2, [0.5, 0.25])
    # By hand: the gradient with decay is 1 + 0.1 * 2 = 1.2; 2 - 0.5 * 1.2 = 1.4.
    assert float(first[0, 0]) == pytest.approx(1.4)
    # Then 1 + 0.1 * 1.4 = 1.14, velocity 0.9 * 1.2 + 1.14 = 2.22; 1.4 - 0.25 * 2.22 = 0.845.
    assert float(second[0, 0]) == pytest.approx(0.845)


def test_sgd_with_nesterov_momentum_looks_ahead_as_pytorch_does(optimizer_config):
    optimizer_config.name, optimizer_config.nesterov = "sgd", True
    optimizer_config.weight_decay = 0.0
    (first,) = _train(optimizer_config, jnp.full((1, 1), 2.0), [jnp.ones((1, 1))], [0.5])
    # PyTorch: velocity 1, then gradient + 0.9 * velocity = 1.9; 2 - 0.5 * 1.9 = 1.05.
    assert float(first[0, 0]) == pytest.approx(1.05)


@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_rmsprop_is_tensorflows(optimizer_config, epsilon):
    optimizer_config.name = "rmsprop"
    optimizer_config.weight_decay = 0.0
    optimizer_config.rmsprop_epsilon = epsilon
    rng = np.random.default_rng(0)
    gradients, rates = rng.normal(size=(6, 3, 2)), [0.045, 0.045, 0.04, 0.04, 0.01, 0.01]
    expected = params = rng.normal(size=(3, 2))
    mean_square, momentum = np.ones((3, 2)), np.zeros((3, 2))
    ours = _train(optimizer_config, jnp.asarray(params), jnp.asarray(gradients), rates)
    for gradient, rate, got in zip(gradients, rates, ours, strict=True):
        # tf.compat.v1.train.RMSPropOptimizer: `rms` starts at ones, the rate is inside `mom`.
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        momentum = 0.9 * momentum + rate * gradient / np.sqrt(mean_square + epsilon)
        expected = expected - momentum
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_adamw_and_lamb_are_optaxs_with_a_schedule(optimizer_config, name):
    optimizer_config.name = name
    optimizer_config.weight_decay = 0.3
    rates = jnp.array([0.1, 0.05, 0.02, 0.01])
    make = {"adamw": optax.adamw, "lamb": optax.lamb}[name]
    reference = make(lambda count: rates[count], weight_decay=0.3, mask=optimizers.decayed)
    rng = np.random.default_rng(0)
    params = {"kernel": jnp.asarray(rng.normal(size=(3, 2))), "bias": jnp.ones(2)}
    kernels, biases = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 2))
    gradients = [
        {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
        for kernel, bias in zip(kernels, biases, strict=True)
    ]
    ours = _train(optimizer_config, params, gradients, rates)
    state = reference.init(params)
    for gradient, got in zip(gradients, ours, strict=True):
        updates, state = reference.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, params)


def test_clipping_bounds_the_global_norm(optimizer_config):
    optimizer_config.name = "sgd"
    optimizer_config.momentum = 0.0
    optimizer_config.weight_decay = 0.0
    optimizer_config.clip_norm = 1.0
    gradient = jnp.array([[30.0], [40.0]])
    (after,) = _train(optimizer_config, jnp.zeros((2, 1)), [gradient], [1.0])
    np.testing.assert_allclose(after[:, 0], [-0.6, -0.8], rtol=1e-6)


def test_a_compiled_update_serves_any_learning_rate(optimizer_config):
    optimizer = optimizers.create_optimizer(optimizer_config)
    params = jnp.ones((2, 2))
    state = optimizer.init(params)
    update = jax.jit(lambda rate: optimizer.update(params, state, params, learning_rate=rate)[0])
    np.testing.assert_allclose(update(0.4), 4 * update(0.1), rtol=1e-6)
    assert update._cache_size() == 1


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "adamx", "optimizer.name is one of adamw, sgd, rmsprop, lamb, not 'adamx'"),
        ("schedule", "stairs", "optimizer.schedule is one of warmup_cosine, linear"),
        ("warmup_fraction", 1.5, "warmup_fraction is from 0 to 1, not 1.5"),
        ("step_fractions", (0.5, 30.0), r"step_fractions are between 0 and 1, not \(0.5, 30.0\)"),
        ("exponential_every", 0.0, "exponential_every is a number above 0, not 0"),
        ("weight_decay", -1e-4, "weight_decay is a number from 0, not -0.0001"),
        ("momentum", 1.0, "momentum is from 0 to below 1, not 1.0"),
    ],
)
def test_a_value_that_cannot_be_run_is_one_sentence(optimizer_config, field, value, says):
    optimizer_config[field] = value
    with pytest.raises(ConfigError, match=says):
        optimizers.validate(optimizer_config)
