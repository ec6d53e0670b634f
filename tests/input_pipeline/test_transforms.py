"""Resizing, cropping and augmentation of decoded pictures."""

import numpy as np
import pytest
from PIL import Image

from input_pipeline import transforms


def photograph(height, width, seed=0):
    """Returns smooth noise with some detail, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    picture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
    return np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


def resize_then_crop(picture, image_size, shorter):
    """Returns what torchvision's Resize and CenterCrop do with Pillow."""
    image = Image.fromarray(picture)
    scale = min(image.size)
    width, height = (int(shorter * side / scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - image_size) / 2), round((height - image_size) / 2)
    return np.asarray(image.crop((left, top, left + image_size, top + image_size)))


@pytest.mark.parametrize(
    ("size", "image_size", "crop_fraction"),
    [
        ((375, 500), 224, 0.875),
        ((500, 333), 224, 0.875),
        ((480, 641), 96, 0.8),
        ((32, 32), 32, 1.0),
        ((8, 8), 32, 1.0),
        ((20, 31), 64, 0.875),
        ((1, 7), 16, 1.0),
    ],
)
def test_evaluation_is_resize_then_centre_crop(size, image_size, crop_fraction):
    picture = photograph(*size)
    result = transforms.evaluation(picture, image_size, crop_fraction)
    expected = resize_then_crop(picture, image_size, round(image_size / crop_fraction))
    assert result.shape == (image_size, image_size, 3)
    assert np.abs(result.astype(int) - expected).mean() < 1


def test_shrinking_does_not_alias():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(transforms.evaluation(stripes, 64).astype(int) - 127.5)[:, 2:-2].max() < 8


@pytest.mark.parametrize("name", transforms.AUGMENTATIONS)
@pytest.mark.parametrize("size", [(8, 8), (40, 60), (300, 7), (1, 1)])
def test_every_augmentation_gives_the_asked_size(name, size):
    augment = transforms.augmentation(name)
    for seed in range(5):
        result = augment(photograph(*size), 24, np.random.default_rng(seed))
        assert (result.shape, result.dtype) == ((24, 24, 3), np.uint8)


@pytest.mark.parametrize("name", set(transforms.AUGMENTATIONS) - {"none"})
def test_random_augmentations_vary_with_the_generator_only(name):
    augment, picture = transforms.augmentation(name), photograph(40, 60)
    results = [augment(picture, 32, np.random.default_rng(seed)).tobytes() for seed in range(4)]
    again = [augment(picture, 32, np.random.default_rng(seed)).tobytes() for seed in range(4)]
    assert results == again
    assert len(set(results)) > 1


@pytest.mark.parametrize(("name", "flips"), [("shift", False), ("crop_flip", True)])
def test_only_augmentations_named_so_flip(name, flips):
    ramp = np.repeat(np.linspace(0, 255, 32).astype(np.uint8)[None, :, None], 32, axis=0)
    ramp = np.repeat(ramp, 3, axis=2)
    rising = [
        bool(result[:, -1].mean() > result[:, 0].mean())
        for result in (
            transforms.augmentation(name)(ramp, 32, np.random.default_rng(seed))
            for seed in range(200)
        )
    ]
    if flips:
        assert 60 < sum(rising) < 140
    else:
        assert all(rising)


def test_shift_is_centred_and_keeps_edges():
    assert (transforms.shift(np.full((8, 8, 3), 200, np.uint8), 32, rng_at(0.0)) == 200).all()
    picture = photograph(8, 8)
    unmoved = transforms.shift(picture, 32, Fixed([0, 0, 0, 0]))
    np.testing.assert_array_equal(unmoved, transforms.evaluation(picture, 32))
    moved = transforms.shift(picture, 30, Fixed([1, 0, 0, 0]))
    np.testing.assert_array_equal(moved[:, 3:], transforms.evaluation(picture, 30)[:, :-3])


class Fixed:
    """A generator whose draws are given."""

    def __init__(self, draws):
        self.draws = np.array(draws, float)

    def uniform(self, *_):
        return self.draws


def rng_at(seed):
    return np.random.default_rng(int(seed))


def test_crop_flip_takes_parts_as_torchvision_does():
    rng = np.random.default_rng(0)
    parts = np.array([transforms._random_part(300, 400, rng) for _ in range(2000)])
    top, left, height, width = parts.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 300).all()
    assert (left + width <= 400).all()
    area, ratio = height * width / (300 * 400), width / height
    assert 0.075 < area.min() < 0.1
    assert area.max() > 0.9
    assert 0.74 < ratio.min() < 0.78
    assert 1.28 < ratio.max() < 1.35


def test_crop_flip_of_a_thin_picture_takes_the_centre():
    part = transforms._random_part(100, 1000, np.random.default_rng(0))
    assert part == (0, (1000 - 133) // 2, 100, 133)


def test_pad_crop_flip_moves_by_up_to_an_eighth_over_black():
    white = np.full((32, 32, 3), 255, np.uint8)
    black_columns = {
        int(
            (transforms.pad_crop_flip(white, 32, np.random.default_rng(seed)) == 0)
            .all((0, 2))
            .sum()
        )
        for seed in range(100)
    }
    assert black_columns == {0, 1, 2, 3, 4}
