"""The shared layers compute what their docstrings say."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from isobudget import imagenet
from models import initializers
from models.classifier import Classifier
from models.layers import BatchNorm, Conv, Dropout, Linear, Mode, flatten
from models.normalization import imagenet_to_half
from models.widths import make_divisible
from models.windows import AdaptiveAveragePool, AveragePool, LocalResponseNorm, MaxPool

RNGS = nnx.Rngs(params=0)
IMAGES = np.random.default_rng(0).standard_normal((2, 7, 6, 3)).astype(np.float32)


def windows(x, window, stride, padding, value, out_height, out_width):
    """Each output's window of x, cut where the padded picture ends."""
    padded = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), constant_values=value)
    for row in range(out_height):
        for column in range(out_width):
            top, left = row * stride, column * stride
            yield row, column, padded[:, top : top + window, left : left + window]


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (MaxPool(3, 2), (3, 2)),
        (MaxPool(3, 2, padding=1), (4, 3)),
        (MaxPool(3, 2, ceil_mode=True), (3, 3)),
        (MaxPool(2, 2, ceil_mode=True), (4, 3)),
        (MaxPool(3, 1, padding=1), (7, 6)),
    ],
)
def test_max_pooling_takes_the_largest_of_each_window(pool, shape):
    out = np.asarray(pool(jnp.asarray(IMAGES)))
    assert out.shape[1:3] == shape
    cut = windows(IMAGES, pool.window, pool.stride, pool.padding, -np.inf, *shape)
    for row, column, seen in cut:
        np.testing.assert_array_equal(out[:, row, column], seen.max((1, 2)))


@pytest.mark.parametrize(
    "pool",
    [
        MaxPool(3, 2, padding=1),
        MaxPool(3, 2, ceil_mode=True),
        MaxPool(3, 1, padding=1),
        MaxPool(2, 2),
        MaxPool(3, 2, padding="SAME"),
    ],
)
def test_max_pooling_and_its_derivatives_are_the_same_for_an_accelerator(pool):
    x = jnp.asarray(np.random.default_rng(1).permutation(2 * 9 * 8 * 3).reshape(2, 9, 8, 3) / 50)
    one = x[:1, :5, :5, :1]

    def derivatives(platform):
        with models.traced_for(platform):
            gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(pool(x)))))(x)
            second = jax.jit(jax.hessian(lambda x: jnp.sum(jnp.sin(pool(x)))))(one)
            return jax.jit(lambda x: pool(x))(x), gradient, second

    for here, there in zip(derivatives("cpu"), derivatives("cuda"), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-6)


def test_on_an_accelerator_the_first_of_equal_pixels_gets_the_gradient():
    with models.traced_for("cuda"):
        gradient = jax.grad(lambda x: jnp.sum(MaxPool(2, 2)(x)))(jnp.ones((1, 2, 4, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    "spec",
    [
        *("resnet18", "googlenet", "mobilenet_v1:width=0.25", "mobilenet_v2:width=0.25"),
        *("mobilenet_v3_small:width=0.25", "vgg11_bn"),
    ],
)
def test_batch_norm_folded_into_convolutions_gives_the_same_logits(spec, monkeypatch):
    model = models.create(spec, 5, rngs=nnx.Rngs(params=0))
    rng = np.random.default_rng(0)
    for _, norm in nnx.iter_modules(model):
        if isinstance(norm, BatchNorm):
            size = norm.mean[...].shape
            norm.scale.set_value(jnp.asarray(rng.uniform(0.5, 1.5, size), jnp.float32))
            norm.bias.set_value(jnp.asarray(rng.normal(size=size), jnp.float32))
            norm.mean.set_value(jnp.asarray(rng.normal(size=size), jnp.float32))
            norm.var.set_value(jnp.asarray(rng.uniform(0.5, 1.5, size), jnp.float32))
    images = jnp.asarray(rng.normal(size=(2, 32, 32, 3)), jnp.float32)
    expected = np.asarray(model(images))
    monkeypatch.setattr(BatchNorm, "__call__", None)
    with models.traced_for("cuda"):
        folded = np.asarray(model(images))
    np.testing.assert_allclose(folded, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_a_ceil_mode_window_never_begins_in_the_padding():
    # Without that rule of PyTorch's, a 2x2 pool of stride 2 with padding 1 would make 3 of 3.
    assert MaxPool(2, 2, padding=1, ceil_mode=True)(jnp.zeros((1, 3, 3, 1))).shape == (1, 2, 2, 1)


def test_average_pooling_counts_padding_as_zeros():
    out = np.asarray(AveragePool(3, 1, padding=1)(jnp.asarray(IMAGES)))
    for row, column, seen in windows(IMAGES, 3, 1, 1, 0.0, 7, 6):
        np.testing.assert_allclose(out[:, row, column], seen.sum((1, 2)) / 9, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 6, 7, 13])
def test_adaptive_pooling_has_pytorchs_bins(size):
    out = np.asarray(AdaptiveAveragePool(size)(jnp.asarray(IMAGES)))
    for row in range(size):
        for column in range(size):
            rows = slice(row * 7 // size, math.ceil((row + 1) * 7 / size))
            columns = slice(column * 6 // size, math.ceil((column + 1) * 6 / size))
            expected = IMAGES[:, rows, columns].mean((1, 2))
            np.testing.assert_allclose(out[:, row, column], expected, atol=1e-6)


def test_local_response_normalization_is_the_papers_formula():
    x = np.random.default_rng(1).standard_normal((1, 2, 2, 9)).astype(np.float32) * 30
    out = np.asarray(LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)(jnp.asarray(x)))
    for channel in range(9):
        near = x[..., max(0, channel - 2) : channel + 3]
        expected = x[..., channel] / (2 + 1e-4 * (near**2).sum(-1)) ** 0.75
        np.testing.assert_allclose(out[..., channel], expected, rtol=1e-5)


def test_batch_norm_normalizes_a_batch_and_remembers_a_tenth_of_it():
    norm = BatchNorm(3, rngs=RNGS)
    x = jnp.asarray(IMAGES * 3 + 5)
    out = norm(x, Mode(train=True))
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, atol=1e-4)
    mean, var = np.mean(x, (0, 1, 2)), np.var(x, (0, 1, 2))
    np.testing.assert_allclose(norm.mean[...], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * var, rtol=1e-4)


def test_batch_norm_in_evaluation_uses_what_it_remembers():
    norm = BatchNorm(3, epsilon=0.5, rngs=RNGS)
    norm.mean.set_value(jnp.array([1.0, 2.0, 3.0]))
    norm.var.set_value(jnp.array([0.5, 3.5, 8.5]))
    out = norm(jnp.asarray(IMAGES), Mode())
    np.testing.assert_allclose(out, (IMAGES - [1, 2, 3]) / [1, 2, 3], atol=1e-6)


def test_dropout_keeps_the_mean_and_is_off_in_evaluation():
    x, dropout = jnp.ones((200, 200)), Dropout(0.25)
    assert dropout(x, Mode()) is x
    out = dropout(x, Mode(train=True, rngs=nnx.Rngs(dropout=0)))
    assert float((out == 0).mean()) == pytest.approx(0.25, abs=0.01)
    assert float(out.mean()) == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match="rngs"):
        dropout(x, Mode(train=True))


def test_flattening_has_channels_first():
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(flatten(jnp.asarray(x)), x.transpose(0, 3, 1, 2).reshape(2, -1))


def test_channels_are_rounded_to_eights_but_never_by_more_than_a_tenth_down():
    assert [make_divisible(c) for c in (1, 12, 16.8, 18, 19.2, 24, 33.6)] == [
        8,
        16,
        16,
        24,
        24,
        24,
        32,
    ]


def test_images_normalized_by_imagenet_become_normalized_by_a_half():
    raw = np.random.default_rng(2).random((1, 2, 2, 3)).astype(np.float32)
    normalized = (raw - np.array(imagenet.MEAN)) / np.array(imagenet.STD)
    np.testing.assert_allclose(imagenet_to_half(jnp.asarray(normalized)), raw * 2 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("initializer", "shape", "stddev"),
    [
        (initializers.he_normal, (3, 3, 64, 100), math.sqrt(2 / 576)),
        (initializers.he_normal_fan_out, (3, 3, 100, 64), math.sqrt(2 / 576)),
        (initializers.xavier_uniform, (1, 1, 100, 200), math.sqrt(2 / 300)),
        (initializers.normal(0.3), (100, 100), 0.3),
    ],
)
def test_initializers_have_the_published_deviation(initializer, shape, stddev):
    values = np.asarray(initializer(jax.random.key(0), shape))
    assert values.std() == pytest.approx(stddev, rel=0.03)
    assert abs(values.mean()) < 0.05 * stddev


def test_large_tensors_do_not_depend_on_the_number_of_threads(monkeypatch):
    shape = (3, 2**20)
    drawn = initializers.normal(1.0)(jax.random.key(3), shape)
    monkeypatch.setattr(initializers.os, "cpu_count", lambda: 1)
    np.testing.assert_array_equal(drawn, initializers.normal(1.0)(jax.random.key(3), shape))
    blocks = np.asarray(drawn).reshape(-1)
    assert abs(np.corrcoef(blocks[: 2**20], blocks[2**21 :])[0, 1]) < 0.01


def test_initializers_under_tracing_give_the_same_values():
    key = jax.random.key(5)
    traced = jax.jit(lambda key: initializers.he_normal(key, (3, 4)))(key)
    np.testing.assert_array_equal(traced, initializers.he_normal(key, (3, 4)))


def test_a_replaced_layer_keeps_its_kind():
    conv = Conv(3, 8, (1, 7), padding=(0, 3), use_bias=False, rngs=RNGS).resized(5, RNGS)
    assert conv(jnp.zeros((1, 4, 9, 3))).shape == (1, 4, 9, 5)
    assert conv.bias is None or conv.use_bias is False
    linear = Linear(6, 8, kernel_init=initializers.normal(0.5), rngs=RNGS).resized(2000, RNGS)
    assert np.std(linear.kernel[...]) == pytest.approx(0.5, rel=0.05)


def test_a_model_without_stages_says_so():
    with pytest.raises(TypeError, match="defines no stages"):
        Classifier()(jnp.zeros((1, 8, 8, 3)))
    assert issubclass(models.ModelError, ValueError)
