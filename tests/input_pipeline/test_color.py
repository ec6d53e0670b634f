"""Random changes of colors: values worked by hand, and what every change keeps."""

import numpy as np
import pytest
from PIL import Image

from input_pipeline import color
from input_pipeline.errors import DataError

CHANGES = {
    "jitter": color.color_jitter,
    "jitter with hue": lambda picture, rng: color.color_jitter(picture, rng, hue=0.5),
    "pca": color.pca_color,
}


class Given:
    """A generator whose normal draws are given."""

    def __init__(self, *draws):
        self.draws = np.array(draws)

    def normal(self, mean, deviation, size):
        assert (mean, size) == (0, len(self.draws))
        return deviation * self.draws


def noise(height=16, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def pixels(*colors):
    """Returns a picture of one row, uint8 [1, len(colors), 3]."""
    return np.array([colors], np.uint8)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("size", [(1, 1), (4, 1), (8, 5), (32, 32)])
def test_changes_keep_type_and_shape(change, size):
    for seed in range(10):
        picture = noise(*size)
        before = picture.copy()
        result = change(picture, np.random.default_rng(seed))
        assert (result.dtype, result.shape) == (np.uint8, picture.shape)
        np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_depend_on_the_generator_alone(change):
    picture = noise()
    results = [change(picture, np.random.default_rng(seed)).tobytes() for seed in range(4)]
    again = [change(picture, np.random.default_rng(seed)).tobytes() for seed in range(4)]
    assert results == again
    assert len(set(results)) == 4


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_as_much_is_drawn_for_every_picture(change):
    generators = [np.random.default_rng(0), np.random.default_rng(0)]
    change(noise(), generators[0])
    change(np.zeros((3, 7, 3), np.uint8), generators[1])
    assert generators[0].random() == generators[1].random()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_mirrored_picture_is_changed_alike(change):
    picture = noise()
    mirrored = change(picture[:, ::-1], np.random.default_rng(0))
    np.testing.assert_array_equal(mirrored[:, ::-1], change(picture, np.random.default_rng(0)))


def test_jitter_of_no_strength_changes_nothing():
    still = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    for seed in range(5):
        result = color.color_jitter(noise(), np.random.default_rng(seed), **still)
        np.testing.assert_array_equal(result, noise())


def test_jitter_draws_factors_from_the_whole_range():
    gray = np.full((1, 1, 3), 100, np.uint8)
    results = [
        int(
            color.color_jitter(
                gray, np.random.default_rng(seed), brightness=0.5, contrast=0, saturation=0
            )[0, 0, 0]
        )
        for seed in range(500)
    ]
    assert 50 <= min(results) < 53
    assert 147 < max(results) <= 150
    assert np.mean(results) == pytest.approx(100, abs=4)


def test_jitter_beyond_1_gives_no_negative_factors():
    gray = np.full((1, 1, 3), 100, np.uint8)
    options = {"brightness": 3.0, "contrast": 0, "saturation": 0}
    results = [
        int(color.color_jitter(gray, np.random.default_rng(seed), **options)[0, 0, 0])
        for seed in range(300)
    ]
    # Factors are uniform from 0 to 4, so that 0.64 of them pass 2.55, which is white.
    assert np.mean(np.equal(results, 0)) < 0.03
    assert np.mean(np.equal(results, 255)) == pytest.approx(1 - 2.55 / 4, abs=0.1)


def test_jitter_orders_its_steps_by_chance(monkeypatch):
    steps = ("adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue")
    done = []
    for name in steps:
        monkeypatch.setattr(color, name, lambda picture, _, name=name: done.append(name) or picture)
    for seed in range(300):
        color.color_jitter(noise(), np.random.default_rng(seed), hue=0.1)
    orders = {tuple(done[start : start + 4]) for start in range(0, len(done), 4)}
    assert len(orders) == 24
    assert all(set(order) == set(steps) for order in orders)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contrast": -0.1}, "color_jitter.contrast is a number from 0, not -0.1"),
        ({"hue": 0.6}, "color_jitter.hue is a number from 0 to 0.5, not 0.6"),
    ],
)
def test_strengths_out_of_range_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        color.color_jitter(noise(), np.random.default_rng(0), **options)


@pytest.mark.parametrize(
    ("adjust", "factor", "expected"),
    [
        (color.adjust_brightness, 0, [(0, 0, 0), (0, 0, 0)]),
        (color.adjust_brightness, 1, [(200, 100, 50), (0, 10, 255)]),
        (color.adjust_brightness, 1.5, [(255, 150, 75), (0, 15, 255)]),
        # Gray levels are 124.2 and 34.94, rounded 124 and 35; their mean is 79.5, which is 80.
        (color.adjust_contrast, 0, [(80, 80, 80), (80, 80, 80)]),
        (color.adjust_contrast, 1, [(200, 100, 50), (0, 10, 255)]),
        (color.adjust_contrast, 0.5, [(140, 90, 65), (40, 45, 167)]),
        (color.adjust_contrast, 2, [(255, 120, 20), (0, 0, 255)]),
        (color.adjust_saturation, 0, [(124, 124, 124), (35, 35, 35)]),
        (color.adjust_saturation, 1, [(200, 100, 50), (0, 10, 255)]),
        (color.adjust_saturation, 0.5, [(162, 112, 87), (17, 22, 145)]),
        (color.adjust_saturation, 2, [(255, 76, 0), (0, 0, 255)]),
    ],
)
def test_adjustments_interpolate_from_black_mean_or_gray(adjust, factor, expected):
    result = adjust(pixels((200, 100, 50), (0, 10, 255)), factor)
    np.testing.assert_array_equal(result, pixels(*expected))


def test_gray_levels_are_pillows():
    levels = np.arange(256, dtype=np.uint8)
    picture = np.stack(np.meshgrid(levels, levels, levels[::15]), -1).reshape(256, -1, 3)
    picture = np.ascontiguousarray(picture)
    np.testing.assert_array_equal(
        color.luminance(picture), np.asarray(Image.fromarray(picture).convert("L"))
    )


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (0, [(255, 0, 0), (0, 0, 255), (90, 90, 90)]),
        (1 / 3, [(0, 255, 0), (255, 0, 0), (90, 90, 90)]),
        # A circle is 255 levels but they wrap at 256: backwards across red, one level is lost, 6 of 255 in a color.
        (-1 / 3, [(6, 0, 255), (0, 255, 0), (90, 90, 90)]),
    ],
)
def test_hue_turns_red_to_green_to_blue(turn, expected):
    result = color.adjust_hue(pixels((255, 0, 0), (0, 0, 255), (90, 90, 90)), turn)
    np.testing.assert_array_equal(result, pixels(*expected))


def test_pca_adds_components_by_their_eigenvalues():
    # One deviation of each component in turn, of pixels from 0 to 255: 25.5 x 0.2175 x (-0.5675, -0.5808, -0.5836),
    # 255 x 0.0188 x (0.7192, -0.0045, -0.6948) and 255 x 0.0045 x (0.4009, -0.8140, 0.4203).
    first = color.pca_color(pixels((100, 100, 2)), Given(1, 0, 0))
    second = color.pca_color(pixels((100, 100, 2)), Given(0, 1, 0), deviation=1.0)
    third = color.pca_color(pixels((255, 100, 255)), Given(0, 0, 1), deviation=1.0)
    np.testing.assert_array_equal(first, pixels((97, 97, 0)))
    np.testing.assert_array_equal(second, pixels((103, 100, 0)))
    np.testing.assert_array_equal(third, pixels((255, 99, 255)))


def test_pca_adds_the_same_to_all_pixels():
    picture = np.clip(noise(), 50, 200)
    result = color.pca_color(picture, np.random.default_rng(1), deviation=0.2)
    offsets = result.astype(int) - picture
    assert (offsets == offsets[0, 0]).all()
    assert offsets.any()
