"""Erasing and mixing on the device: rates, areas and shares, and that sharding changes nothing."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline import on_device

CLASSES = 5
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
ERASE = jax.jit(on_device.random_erasing, compiler_options=QUICK)
MIXUP = jax.jit(on_device.mixup, compiler_options=QUICK)
CUTMIX = jax.jit(on_device.cutmix, compiler_options=QUICK)


def numbered(batch=8, height=16, width=12, dtype=jnp.float32):
    """Returns images filled with their number from 1, and one-hot targets."""
    numbers = jnp.arange(1, batch + 1, dtype=dtype)[:, None, None, None]
    targets = jax.nn.one_hot(jnp.arange(batch) % CLASSES, CLASSES, dtype=jnp.float32)
    return jnp.broadcast_to(numbers, (batch, height, width, 3)), targets


def erased_rectangles(probability, batch=1000, height=32, width=32):
    """Returns heights and widths of what is erased, where something is, each [erased images]."""
    erased = ERASE(numbered(batch, height, width)[0], jax.random.key(0), probability=probability)
    gone = np.asarray(erased == 0).all(3)
    tall, wide = gone.any(2).sum(1), gone.any(1).sum(1)
    np.testing.assert_array_equal(gone.sum((1, 2)), tall * wide)
    np.testing.assert_array_equal(np.asarray(erased == 0).any(3), gone)
    return tall[tall > 0], wide[tall > 0]


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_erasing_happens_at_its_probability(probability):
    tall, _ = erased_rectangles(probability)
    assert len(tall) / 1000 == pytest.approx(probability, abs=0.03)


def test_erased_areas_and_ratios_fill_their_ranges():
    tall, wide = erased_rectangles(1.0)
    area, ratio = tall * wide / 32**2, tall / wide
    # Sides are rounded to whole pixels.
    assert 0.01 < area.min() < 0.03
    assert 0.31 < area.max() < 0.35
    assert area.mean() == pytest.approx(0.175, abs=0.01)
    assert 0.2 < ratio.min() < 0.35
    assert 2.9 < ratio.max() < 4.1
    assert np.median(ratio) == pytest.approx(1, abs=0.1)


def test_erasing_never_takes_a_whole_side():
    # Of a row of pixels nothing is smaller than the image, and no draw fits.
    tall, _ = erased_rectangles(1.0, batch=100, height=1, width=50)
    assert len(tall) == 0
    # Draws that do not fit are made again: almost every image of 1:3 has one of ten that does.
    tall, _ = erased_rectangles(1.0, batch=500, height=20, width=60)
    assert len(tall) > 490
    assert tall.max() < 20


def test_erasing_reaches_every_pixel():
    erased = ERASE(numbered(1000, 32, 32)[0], jax.random.key(1), probability=1.0)
    rate = np.asarray(erased == 0).all(3).mean(0)
    assert rate.min() > 0
    np.testing.assert_allclose(rate, rate[::-1], atol=0.05)
    np.testing.assert_allclose(rate, rate[:, ::-1], atol=0.05)


def test_erasing_at_no_probability_changes_nothing():
    tall, _ = erased_rectangles(0.0)
    assert len(tall) == 0


@pytest.mark.parametrize(("dtype", "precision"), [(jnp.float32, 1e-6), (jnp.bfloat16, 2**-8)])
def test_mixup_averages_images_and_targets_with_one_share(dtype, precision):
    images, targets = numbered(dtype=dtype)
    mixed, mixed_targets = MIXUP(images, targets, jax.random.key(3), alpha=0.2)
    share = float(mixed_targets[1, 1])
    assert 0 < share < 1
    np.testing.assert_allclose(mixed_targets.sum(1), 1, rtol=1e-6)
    before = np.roll(np.arange(1, 9), 1)
    expected = share * np.arange(1, 9) + (1 - share) * before
    np.testing.assert_allclose(mixed[:, 5, 7, 2].astype(float), expected, rtol=precision)
    np.testing.assert_allclose(mixed_targets[2], [0, 1 - share, share, 0, 0], rtol=1e-5)
    # The first is paired with the eighth, of class 7 modulo 5.
    np.testing.assert_allclose(mixed_targets[0], [share, 0, 1 - share, 0, 0], rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_draws_shares_from_beta(alpha):
    images, targets = numbered()
    keys = jax.random.split(jax.random.key(0), 1000)
    shares = np.array([MIXUP(images, targets, key, alpha=alpha)[1] for key in keys])[:, 1, 1]
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    # The variance of Beta(alpha, alpha).
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_cutmix_weighs_targets_by_the_pixels_it_replaced():
    images, targets = numbered()
    shares, sides = set(), []
    for seed in range(60):
        mixed, mixed_targets = CUTMIX(images, targets, jax.random.key(seed), alpha=1.0)
        replaced = np.asarray(mixed != images).all(3)
        np.testing.assert_array_equal(replaced, np.broadcast_to(replaced[0], replaced.shape))
        tall, wide = replaced[0].any(1).sum(), replaced[0].any(0).sum()
        assert replaced[0].sum() == tall * wide
        share = 1 - replaced[0].mean()
        np.testing.assert_allclose(mixed_targets[1], [1 - share, share, 0, 0, 0], atol=1e-6)
        before = np.roll(np.arange(1, 9), 1)[:, None, None, None]
        np.testing.assert_array_equal(mixed, np.where(replaced[..., None], before, images))
        shares.add(round(share, 4))
        sides.append((tall, wide))
    assert len(shares) > 20
    assert max(tall for tall, _ in sides) > 12
    assert max(wide for _, wide in sides) > 9


@pytest.fixture
def marked(monkeypatch):
    """Lets `mixup` fill images with 1 + alpha, and `cutmix` with -1 - alpha."""

    def fill(sign):
        return lambda images, targets, key, alpha: (0 * images + sign * (1 + alpha), targets)

    monkeypatch.setattr(on_device, "mixup", fill(1))
    monkeypatch.setattr(on_device, "cutmix", fill(-1))


def test_mix_takes_either_method_by_chance(marked):
    images, targets = numbered(1, 1, 1)

    @jax.jit
    @jax.vmap
    def outcome(key):
        return on_device.mix(images, targets, key, mixup_alpha=0.25, cutmix_alpha=1.0)[0].max()

    outcomes = np.asarray(outcome(jax.random.split(jax.random.key(0), 2000)))
    assert set(outcomes) == {1.25, -2}
    assert np.mean(outcomes == -2) == pytest.approx(0.5, abs=0.05)


def test_mix_leaves_out_the_method_whose_alpha_is_0(marked):
    images, targets = numbered(1, 1, 1)
    for seed in range(5):
        key = jax.random.key(seed)
        mixed, _ = on_device.mix(images, targets, key, mixup_alpha=0.25, cutmix_alpha=0.0)
        assert (mixed == 1.25).all()
        cut, _ = on_device.mix(images, targets, key, mixup_alpha=0.0, cutmix_alpha=0.5)
        assert (cut == -1.5).all()


def test_mix_without_a_method_changes_nothing():
    images, targets = numbered()
    same = on_device.mix(images, targets, jax.random.key(0), mixup_alpha=0.0, cutmix_alpha=0.0)
    assert same[0] is images
    assert same[1] is targets


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_types_and_shapes_stay(dtype):
    images, targets = numbered(dtype=dtype)

    def step(key):
        erased = on_device.random_erasing(images, key, probability=0.5)
        return on_device.mix(erased, targets, key, mixup_alpha=0.2, cutmix_alpha=1.0)

    mixed, mixed_targets = jax.eval_shape(step, jax.random.key(0))
    assert (mixed.dtype, mixed.shape) == (dtype, images.shape)
    assert (mixed_targets.dtype, mixed_targets.shape) == (jnp.float32, targets.shape)


def test_a_key_gives_one_result_and_another_key_another():
    images, targets = numbered()

    def outcome(seed):
        key = jax.random.key(seed)
        results = ERASE(images, key, probability=1.0), *CUTMIX(images, targets, key, alpha=1.0)
        return b"".join(np.asarray(each).tobytes() for each in results)

    assert outcome(0) == outcome(0)
    assert outcome(0) != outcome(1)


SHARDED = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from input_pipeline import on_device

def step(images, targets, key):
    images = on_device.random_erasing(images, key, probability=0.5)
    return on_device.mix(images, targets, key, mixup_alpha=0.2, cutmix_alpha=1.0)

rng = np.random.default_rng(0)
images, targets = rng.random((8, 12, 12, 3), np.float32), rng.random((8, 5), np.float32)
sharding = NamedSharding(Mesh(np.array(jax.devices()), "data"), PartitionSpec("data"))
whole, parts = jax.jit(step), jax.jit(step, in_shardings=(sharding, sharding, None), out_shardings=sharding)
assert jax.device_count() == 4
for seed in range(4):
    key = jax.random.key(seed)
    for one, four in zip(whole(images, targets, key), parts(images, targets, key), strict=True):
        assert len(four.sharding.device_set) == 4
        np.testing.assert_allclose(one, four, rtol=1e-6)
"""


def test_four_devices_give_the_result_of_one():
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
