"""Batch norm in training as accelerators take it, against its plain form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import models
from models import fused_norm
from models.layers import BatchNorm, Conv, Mode, Sequential, normalized, relu, relu6
from models.windows import MaxPool

EPSILON = 1e-5
# Of a whole array, relative to the plain form's.
TOLERANCES = {"float32": 1e-5, "bfloat16": 1e-2}


@pytest.mark.parametrize(
    ("activation", "dtype"),
    [(relu, "float32"), (relu, "bfloat16"), (relu6, "float32"), (jax.nn.hard_swish, "bfloat16")],
)
def test_norm_and_activation_in_two_passes_have_the_plain_forms_derivatives(activation, dtype):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(0.5, 2, (4, 5, 6, 16)), dtype)
    operands = x, *_scale_and_bias(rng, 16)
    plain = functools.partial(_plain_norm, activation=activation)
    fused = functools.partial(fused_norm.normalize, epsilon=EPSILON, activation=activation)
    _assert_same(lambda *xs: fused(*xs), plain, operands, rng, TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_pointwise_convolution_with_its_norm_has_the_plain_forms_derivatives(dtype):
    rng = np.random.default_rng(0)
    x = jnp.asarray(np.maximum(rng.normal(0.5, 1, (16, 7, 7, 8)), 0), dtype)
    kernel = jnp.asarray(rng.normal(0, 0.3, (8, 32)), jnp.float32)
    operands = x, kernel, *_scale_and_bias(rng, 32)
    fused = functools.partial(fused_norm.normalized_pointwise, epsilon=EPSILON)

    def plain(x, kernel, *affine):
        y = lax.dot_general(x, kernel.astype(x.dtype), (((3,), (0,)), ((), ())))
        return _plain_norm(y, *affine, activation=lambda x: x)

    _assert_same(lambda *xs: fused(*xs), plain, operands, rng, TOLERANCES[dtype])


def test_a_variance_is_not_lost_to_a_large_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(30, 0.1, (64, 8, 8, 4)).astype(np.float32)
    kernel = rng.normal(size=(4, 8)).astype(np.float32)
    affine = _scale_and_bias(rng, 8)
    # Both take a mean of squares and subtract a square, so that is how exact they can be.
    y = np.einsum("nhwi,io->nhwo", x.astype(np.float64), kernel)
    for _, mean, var in (
        fused_norm.normalized_pointwise(jnp.asarray(x), jnp.asarray(kernel), *affine, EPSILON),
        _plain_norm(jnp.asarray(y, jnp.float32), *affine, activation=lambda x: x),
    ):
        np.testing.assert_allclose(mean, y.mean((0, 1, 2)), rtol=1e-4)
        np.testing.assert_allclose(var, y.var((0, 1, 2)), rtol=0.1)


def test_second_derivatives_and_recomputation_are_those_of_the_plain_form():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 3, 3, 4)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(4, 8)), jnp.float32)
    affine = _scale_and_bias(rng, 8)

    def fused(x):
        out = fused_norm.normalized_pointwise(x, kernel, *affine, EPSILON)[0]
        return jnp.sum(jnp.sin(fused_norm.normalize(out, *affine, EPSILON, jax.nn.hard_swish)[0]))

    def plain(x):
        out = _plain_norm(x @ kernel, *affine, activation=lambda x: x)[0]
        return jnp.sum(jnp.sin(_plain_norm(out, *affine, activation=jax.nn.hard_swish)[0]))

    def second(loss):
        return jax.jit(jax.grad(lambda x: jnp.sum(jax.grad(loss)(x) ** 2)))(x)

    assert _relative(second(jax.checkpoint(fused)), second(plain)) < 1e-4


def test_a_strided_projection_in_bfloat16_trains_as_its_plain_form():
    rng = np.random.default_rng(0)
    x = jnp.asarray(np.maximum(rng.normal(size=(16, 7, 7, 8)), 0), jnp.bfloat16)
    change = jnp.asarray(rng.normal(size=(16, 4, 4, 16)), jnp.bfloat16)
    make = {"dtype": jnp.bfloat16, "rngs": nnx.Rngs(params=0)}
    layers = Sequential(Conv(8, 16, 1, strides=2, use_bias=False, **make), BatchNorm(16, **make))
    definition, params, stats = nnx.split(layers, nnx.Param, nnx.BatchStat)

    def derivatives(fold):
        @jax.jit
        def compiled(params, x):
            def out(params, x):
                module = nnx.merge(definition, params, stats, copy=True)
                out = module(x, Mode(train=True, fold=fold))
                return out, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

            out, pull, statistics = jax.vjp(out, params, x, has_aux=True)
            return out, pull(change), statistics

        return jax.tree.leaves(compiled(params, x))

    for got, expected in zip(derivatives(True), derivatives(False), strict=True):
        assert _relative(got, expected) < TOLERANCES["bfloat16"]


def test_convolutions_that_cannot_or_should_not_be_folded_are_not(monkeypatch):
    rngs = nnx.Rngs(params=0)

    def make(*args, use_bias=False, dtype=jnp.bfloat16, **kwargs):
        return Conv(*args, use_bias=use_bias, dtype=dtype, rngs=rngs, **kwargs)

    folded = []
    made = {
        "growing": make(8, 16, 1),
        "biased": make(8, 16, 1, use_bias=True),
        "wide": make(8, 16, 3, padding=1),
        "padded": make(8, 16, 1, padding=1),
        "grouped": make(8, 16, 1, groups=2),
        "as wide as before": make(16, 16, 1),
        "in float32": make(8, 16, 1, dtype=jnp.float32),
    }
    for name, conv in made.items():
        norm = BatchNorm(16, rngs=rngs)
        x = jnp.ones((2, 4, 4, conv.in_features), conv.dtype)
        monkeypatch.setattr(BatchNorm, "of_pointwise", lambda *_, name=name: folded.append(name))
        monkeypatch.setattr(BatchNorm, "__call__", lambda *_: None)
        monkeypatch.setattr(Conv, "__call__", lambda *_: None)
        normalized(conv, norm, x, Mode(train=True, fold=True))
    assert folded == ["growing"]


def test_a_max_pool_that_begins_at_zero_is_one_of_a_relu():
    # Many ties, at 0 and above it.
    x = jnp.asarray(np.random.default_rng(0).integers(-3, 3, (2, 8, 8, 4)), jnp.float32)
    layers = Sequential(relu, MaxPool(3, 2, padding=1))

    def both(mode):
        with models.traced_for("cuda"):
            out, pull = jax.vjp(lambda x: layers(x, mode), x)
            return out, pull(out + 1)[0]

    for got, expected in zip(
        both(Mode(train=True, fold=True)), both(Mode(train=True)), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_only_accelerators_train_in_these_forms():
    definition, state = nnx.eval_shape(
        lambda: nnx.split(models.create("vgg11_bn", 5, rngs=nnx.Rngs(params=0)))
    )

    def train(state, images):
        module = nnx.merge(definition, state, copy=True)
        return module(images, train=True, rngs=nnx.Rngs(dropout=0))

    images = jnp.ones((2, 32, 32, 3))
    for platform, expected in (("cpu", False), ("cuda", True)):
        with models.traced_for(platform):
            text = str(jax.make_jaxpr(lambda *xs: train(*xs))(state, images))
        assert ("custom_vjp" in text) == expected


def _plain_norm(x, scale, bias, activation):
    wide = x.astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    mean = wide.mean(axes)
    var = jnp.maximum(0.0, jnp.mean(lax.square(wide), axes) - lax.square(mean))
    multiplier = scale * lax.rsqrt(var + EPSILON)
    shift = bias - mean * multiplier
    return activation((wide * multiplier + shift).astype(x.dtype)), mean, var


def _scale_and_bias(rng, features):
    return (
        jnp.asarray(rng.uniform(0.5, 1.5, features), jnp.float32),
        jnp.asarray(rng.normal(size=features), jnp.float32),
    )


def _assert_same(fused, plain, operands, rng, tolerance):
    """Asserts that outputs and gradients agree, for changes of the output and of the statistics."""
    changes = tuple(
        jnp.asarray(rng.normal(size=each.shape), each.dtype)
        for each in jax.eval_shape(plain, *operands)
    )

    def derivatives(form):
        @jax.jit
        def both(changes, *operands):
            out, pull = jax.vjp(form, *operands)
            return out, pull(changes)

        return jax.tree.leaves(both(changes, *operands))

    for got, wanted in zip(derivatives(fused), derivatives(plain), strict=True):
        assert got.dtype == wanted.dtype
        assert _relative(got, wanted) < tolerance


def _relative(got, expected):
    got, expected = (np.asarray(each, np.float64).ravel() for each in (got, expected))
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)
