"""Policies that draw operations: what they draw, and operations worked by hand."""

import numpy as np
import pytest

from input_pipeline import auto_augment
from input_pipeline.auto_augment import BINS, OPERATIONS, TRIVIAL_AUGMENT_SPACE
from input_pipeline.errors import DataError

POLICIES = [auto_augment.rand_augment, auto_augment.trivial_augment]
RAND_AUGMENT_SPACE = auto_augment.rand_augment_space(331, 662)


def noise(height=32, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def gray(rows):
    """Returns rows of gray levels as a picture."""
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def applied(monkeypatch):
    """Replaces all operations by ones that only note (name, magnitude) in the list that it returns."""
    noted = []
    for name in OPERATIONS:
        monkeypatch.setitem(
            OPERATIONS,
            name,
            lambda picture, magnitude, name=name: noted.append((name, magnitude)) or picture,
        )
    return noted


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_keep_type_and_shape_and_the_given_picture(policy):
    picture = noise()
    for seed in range(60):
        result = policy(picture, np.random.default_rng(seed))
        assert (result.dtype, result.shape) == (np.uint8, picture.shape)
    np.testing.assert_array_equal(picture, noise())


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_depend_on_the_generator_alone(policy):
    results = [policy(noise(), np.random.default_rng(seed)).tobytes() for seed in range(10)]
    again = [policy(noise(), np.random.default_rng(seed)).tobytes() for seed in range(10)]
    assert results == again
    assert len(set(results)) > 5


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_draw_as_much_for_every_picture(policy):
    for seed in range(10):
        generators = [np.random.default_rng(seed), np.random.default_rng(seed)]
        policy(noise(), generators[0])
        policy(np.zeros((9, 7, 3), np.uint8), generators[1])
        assert generators[0].random() == generators[1].random()


def test_rand_augment_draws_all_operations_alike_at_one_strength(applied):
    for seed in range(1000):
        auto_augment.rand_augment(
            noise(331, 662), np.random.default_rng(seed), layers=3, magnitude=15
        )
    assert len(applied) == 3000
    names = [name for name, _ in applied]
    assert {name: names.count(name) for name in names} == pytest.approx(
        dict.fromkeys(OPERATIONS, 3000 / 14), rel=0.25
    )
    for name, magnitude in set(applied):
        assert abs(magnitude) == RAND_AUGMENT_SPACE[name].at(15)
    assert {np.sign(magnitude) for name, magnitude in applied if name == "ShearX"} == {-1, 1}


def test_trivial_augment_draws_one_operation_at_any_strength(applied):
    for seed in range(3000):
        auto_augment.trivial_augment(noise(2, 2), np.random.default_rng(seed))
    assert len(applied) == 3000
    for name in OPERATIONS:
        drawn = {magnitude for each, magnitude in applied if each == name}
        magnitudes = TRIVIAL_AUGMENT_SPACE[name]
        expected = {magnitudes.at(step) for step in range(BINS)}
        if magnitudes.signed:
            expected |= {-magnitude for magnitude in expected}
        assert drawn <= expected
        assert len(drawn) > 0.8 * len(expected)


def test_no_layers_leave_the_picture():
    result = auto_augment.rand_augment(noise(), np.random.default_rng(0), layers=0)
    np.testing.assert_array_equal(result, noise())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"magnitude": 31}, "rand_augment.magnitude is a whole number from 0 to 30, not 31"),
        ({"magnitude": -1}, "rand_augment.magnitude is a whole number from 0 to 30, not -1"),
        ({"layers": -1}, "rand_augment.layers is a whole number from 0, not -1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        auto_augment.rand_augment(noise(), np.random.default_rng(0), **options)


@pytest.mark.parametrize("space", [RAND_AUGMENT_SPACE, TRIVIAL_AUGMENT_SPACE])
def test_spaces_use_every_operation(space):
    assert set(space) == set(OPERATIONS)


@pytest.mark.parametrize(
    ("space", "name", "first", "middle", "last"),
    [
        (RAND_AUGMENT_SPACE, "Rotate", 0, 15, 30),
        (RAND_AUGMENT_SPACE, "TranslateX", 0, 150, 300),
        (RAND_AUGMENT_SPACE, "TranslateY", 0, 75, 150),
        (RAND_AUGMENT_SPACE, "Posterize", 8, 6, 4),
        (RAND_AUGMENT_SPACE, "Solarize", 255, 127.5, 0),
        (TRIVIAL_AUGMENT_SPACE, "Rotate", 0, 67.5, 135),
        (TRIVIAL_AUGMENT_SPACE, "TranslateX", 0, 16, 32),
        (TRIVIAL_AUGMENT_SPACE, "Posterize", 8, 5, 2),
    ],
)
def test_magnitudes_go_evenly_from_weakest_to_strongest(space, name, first, middle, last):
    assert [space[name].at(step) for step in (0, 15, 30)] == [first, middle, last]


@pytest.mark.parametrize(
    ("name", "magnitude", "picture", "expected"),
    [
        ("Identity", 0, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("TranslateX", 1.9, [[1, 2, 3]], [[0, 1, 2]]),
        ("TranslateX", -1.9, [[1, 2, 3]], [[2, 3, 0]]),
        ("TranslateY", 1, [[1], [2], [3]], [[0], [1], [2]]),
        ("ShearX", 1, [[1, 2, 3], [4, 5, 6]], [[2, 3, 0], [6, 0, 0]]),
        ("ShearY", -1, [[1, 4], [2, 5], [3, 6]], [[1, 0], [2, 4], [3, 5]]),
        ("Rotate", 90, [[1, 2], [3, 4]], [[2, 4], [1, 3]]),
        ("Rotate", -90, [[1, 2], [3, 4]], [[3, 1], [4, 2]]),
        ("Brightness", -1, [[10, 200]], [[0, 0]]),
        ("Brightness", 0.5, [[10, 200]], [[15, 255]]),
        ("Contrast", -0.5, [[0, 200]], [[50, 150]]),
        ("Color", -1, [[10, 200]], [[10, 200]]),
        ("Sharpness", 0, [[10, 200]], [[10, 200]]),
        # The middle of a blurred 13 among zeros is 13 x 5 / 13.
        ("Sharpness", -1, [[0, 0, 0], [0, 13, 0], [0, 0, 0]], [[0, 0, 0], [0, 5, 0], [0, 0, 0]]),
        ("Posterize", 8, [[1, 255]], [[1, 255]]),
        ("Posterize", 2, [[63, 64, 255]], [[0, 64, 192]]),
        ("Solarize", 128, [[127, 128, 255]], [[127, 127, 0]]),
        ("Solarize", 0, [[0, 255]], [[255, 0]]),
        ("AutoContrast", 0, [[10, 20, 30]], [[0, 127, 255]]),
        ("Equalize", 0, [[10] * 510, [20] * 510], [[0] * 510, [255] * 510]),
    ],
)
def test_operations_do_what_their_names_say(name, magnitude, picture, expected):
    picture, expected = gray(picture), gray(expected)
    np.testing.assert_array_equal(OPERATIONS[name](picture, magnitude), expected)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_take_mirrored_pictures(name):
    mirrored = noise()[:, ::-1]
    magnitude = RAND_AUGMENT_SPACE[name].at(9)
    np.testing.assert_array_equal(
        OPERATIONS[name](mirrored, magnitude), OPERATIONS[name](mirrored.copy(), magnitude)
    )
