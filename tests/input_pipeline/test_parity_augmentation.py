"""Changes of color and operations of policies give torchvision's pixels, and policies its magnitudes.

pytest -m parity tests/input_pipeline
"""

import numpy as np
import pytest
from PIL import Image

from input_pipeline import auto_augment, color
from input_pipeline.auto_augment import BINS, OPERATIONS, TRIVIAL_AUGMENT_SPACE, rand_augment_space

pytestmark = pytest.mark.parity

FACTORS = (0.0, 0.1, 0.35, 0.6, 0.77, 1.0, 1.2, 1.4, 1.9, 2.7)
# OpenCV blends the colors: where a level is whole but for a rounding error, Pillow may cut one off.
LEVELS_OFF = {"saturation": 1}


@pytest.fixture(scope="module")
def transforms(torchvision):
    """torchvision.transforms."""
    return torchvision.transforms


def random_picture():
    return np.random.default_rng(0).integers(0, 256, (61, 61, 3), np.uint8)


def smooth_picture():
    coarse = np.random.default_rng(1).integers(0, 256, (5, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC))


def dim_picture():
    """Few levels, none of them black or white, and not as wide as high."""
    return np.random.default_rng(2).integers(60, 90, (40, 53, 3), np.uint8)


PICTURES = [random_picture(), smooth_picture(), dim_picture()]


@pytest.mark.parametrize("picture", PICTURES, ids=["random", "smooth", "dim"])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_adjustments_give_torchvisions_levels(transforms, name, picture):
    ours = getattr(color, f"adjust_{name}")
    theirs = getattr(transforms.functional, f"adjust_{name}")
    for factor in FACTORS:
        result = ours(picture, factor).astype(int)
        expected = np.asarray(theirs(Image.fromarray(picture), factor))
        off = np.abs(result - expected)
        assert off.max() <= LEVELS_OFF.get(name, 0), factor
        assert (off > 0).mean() < 0.03, factor


@pytest.mark.parametrize("picture", PICTURES, ids=["random", "smooth", "dim"])
def test_hues_are_torchvisions(transforms, picture):
    for turn in np.linspace(-0.5, 0.5, 13):
        expected = np.asarray(transforms.functional.adjust_hue(Image.fromarray(picture), turn))
        np.testing.assert_array_equal(color.adjust_hue(picture, turn), expected)


@pytest.mark.parametrize("picture", PICTURES, ids=["random", "smooth", "dim"])
def test_jitter_is_torchvisions_in_the_same_order_with_the_same_factors(
    transforms, picture, monkeypatch
):
    done = []
    for name in ("brightness", "contrast", "saturation", "hue"):
        ours = getattr(color, f"adjust_{name}")

        def noting(picture, amount, name=name, ours=ours):
            done.append((name, amount))
            return ours(picture, amount)

        monkeypatch.setattr(color, f"adjust_{name}", noting)
    for seed in range(20):
        done.clear()
        hue = 0.0 if seed % 2 else 0.1
        result = color.color_jitter(picture, np.random.default_rng(seed), hue=hue)
        image = Image.fromarray(picture)
        for name, amount in done:
            image = getattr(transforms.functional, f"adjust_{name}")(image, amount)
        assert len(done) == (3 if seed % 2 else 4)
        off = np.abs(result.astype(int) - np.asarray(image))
        # A level off grows by further steps, and by rounding hues to eight bits.
        assert (off > 1).mean() < 1e-2
        assert off.mean() < 0.02


@pytest.mark.parametrize("picture", PICTURES, ids=["random", "smooth", "dim"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_give_torchvisions_pixels_at_all_magnitudes(transforms, name, picture):
    apply = transforms.autoaugment._apply_op
    nearest = transforms.InterpolationMode.NEAREST
    for space in (rand_augment_space(*picture.shape[:2]), TRIVIAL_AUGMENT_SPACE):
        for step in range(BINS):
            magnitude = space[name].at(step)
            for sign in (1, -1) if space[name].signed else (1,):
                image = Image.fromarray(picture)
                expected = np.asarray(apply(image, name, sign * magnitude, nearest, None))
                np.testing.assert_array_equal(
                    OPERATIONS[name](picture, sign * magnitude), expected, err_msg=str(magnitude)
                )


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 128), (224, 224), (299, 331)])
def test_rand_augment_has_torchvisions_magnitudes(transforms, height, width):
    theirs = transforms.RandAugment(num_magnitude_bins=BINS)
    assert_same_space(
        rand_augment_space(height, width), theirs._augmentation_space(BINS, (height, width))
    )


def test_trivial_augment_has_torchvisions_magnitudes(transforms):
    theirs = transforms.TrivialAugmentWide()
    assert theirs.num_magnitude_bins == BINS
    assert_same_space(TRIVIAL_AUGMENT_SPACE, theirs._augmentation_space(BINS))


def assert_same_space(ours, theirs):
    assert list(ours) == list(theirs)
    for name, (magnitudes, signed) in theirs.items():
        expected = np.broadcast_to(np.asarray(magnitudes, float), BINS)
        result = np.array([ours[name].at(step) for step in range(BINS)])
        np.testing.assert_allclose(result, expected, rtol=1e-6, err_msg=name)
        assert ours[name].signed == signed


def test_rand_augment_is_as_strong_as_torchvisions_by_default(transforms):
    theirs = transforms.RandAugment()
    ours = auto_augment.rand_augment.__kwdefaults__
    assert ours == {"layers": theirs.num_ops, "magnitude": theirs.magnitude}
    assert theirs.num_magnitude_bins == BINS
