"""Crops and changes by chance: what a configuration may name, and what each does."""

import numpy as np
import pytest

from input_pipeline import DataError, augmentation, batches
from input_pipeline.augmentation import Augmentation
from input_pipeline.resizing import evaluate_picture

SIZES = [(8, 8), (40, 60), (300, 7), (1, 1)]
RANDOM_CROPS = sorted(set(augmentation.CROPS) - {"center"})


class Fixed:
    """A generator whose draws are given."""

    def __init__(self, draws):
        self.draws = np.array(draws, float)

    def uniform(self, *_):
        return self.draws


def boxes(name, rows, columns, size=224, count=2000, **options):
    rng = np.random.default_rng(0)
    crop = augmentation.create({"crop": name, name: options}).crop
    return np.array([crop(rows, columns, size, rng) for _ in range(count)])


@pytest.mark.parametrize("name", augmentation.CROPS)
@pytest.mark.parametrize("size", SIZES)
def test_every_crop_lies_within_the_picture(name, size):
    top, left, height, width = boxes(name, *size, count=50).T
    assert min(top.min(), left.min()) >= 0
    assert min(height.min(), width.min()) > 0
    assert (top + height).max() <= size[0] + 1e-9
    assert (left + width).max() <= size[1] + 1e-9


@pytest.mark.parametrize("name", augmentation.CHANGES)
def test_every_change_keeps_size_and_type_and_varies_with_the_generator_only(name, photograph):
    change = augmentation.CHANGES[name]
    picture = photograph(32, 32)
    before = picture.copy()
    results = [change(picture, np.random.default_rng(seed)) for seed in range(12)]
    again = [change(picture, np.random.default_rng(seed)) for seed in range(12)]
    assert {(each.shape, each.dtype) for each in results} == {((32, 32, 3), np.dtype(np.uint8))}
    assert all(np.array_equal(a, b) for a, b in zip(results, again, strict=True))
    assert len({each.tobytes() for each in results}) > 1
    np.testing.assert_array_equal(picture, before)


def test_random_resized_takes_parts_as_torchvision_does():
    _, _, height, width = boxes("random_resized", 300, 400).T
    area, ratio = height * width / (300 * 400), width / height
    assert 0.075 < area.min() < 0.1
    assert area.max() > 0.9
    assert 0.74 < ratio.min() < 0.78
    assert 1.28 < ratio.max() < 1.35
    assert boxes("random_resized", 300, 400, min_area=0.5).prod(-1, where=[0, 0, 1, 1]).min() > 55e3


def test_random_resized_of_a_thin_picture_takes_the_center():
    assert tuple(boxes("random_resized", 100, 1000, count=1)[0]) == (0, (1000 - 133) // 2, 100, 133)


def test_random_side_is_resnets_scale_jitter():
    _, left, height, width = boxes("random_side", 300, 400).T
    np.testing.assert_array_equal(height, width)
    # 224 pixels of a shorter side of 256 to 480.
    assert height.min() == pytest.approx(300 * 224 / 480)
    assert height.max() == pytest.approx(300 * 224 / 256)
    assert left.max() > 200  # anywhere along the longer side, not in the middle alone
    assert boxes("random_side", 300, 400, 112).T[2].max() == pytest.approx(300 * 224 / 256)


def test_random_position_is_alexnets():
    top, left, height, width = boxes("random_position", 256, 356).T
    assert set(height) == set(width) == {224.0}
    # Within the middle 256 of 356 columns.
    assert 50 <= left.min() < 52
    assert 80 < left.max() <= 82
    assert 0 <= top.min() < 2
    assert 30 < top.max() <= 32


def test_shift_is_centered_and_keeps_edges(photograph):
    shift = augmentation.CHANGES["shift"]
    assert (shift(np.full((32, 32, 3), 200, np.uint8), np.random.default_rng(0)) == 200).all()
    picture = photograph(30, 30)
    np.testing.assert_array_equal(shift(picture, Fixed([0, 0, 0, 0])), picture)
    moved = shift(picture, Fixed([1, 0, 0, 0]))
    np.testing.assert_array_equal(moved[:, 3:], picture[:, :-3])


def test_flip_mirrors_every_other_time():
    ramp = np.repeat(np.arange(32, dtype=np.uint8)[None, :, None], 3, axis=2)
    flip = augmentation.CHANGES["flip"]
    results = [flip(ramp, np.random.default_rng(seed)) for seed in range(200)]
    rising = sum(bool(result[0, -1, 0] > result[0, 0, 0]) for result in results)
    assert 70 < rising < 130


def test_pad_and_crop_moves_by_up_to_an_eighth_over_black():
    white = np.full((32, 32, 3), 255, np.uint8)
    change = augmentation.CHANGES["pad_and_crop"]
    black_columns = {
        int((change(white, np.random.default_rng(seed)) == 0).all((0, 2)).sum())
        for seed in range(100)
    }
    assert black_columns == {0, 1, 2, 3, 4}


def test_defaults_are_the_whole_center_square(photograph):
    assert augmentation.create({}) == augmentation.create(augmentation.defaults()) == Augmentation()
    import cv2

    data = cv2.imencode(".png", photograph(20, 30)[:, :, ::-1])[1].tobytes()
    seen = batches.training_picture(data, Augmentation(), 32, np.random.default_rng(0))
    np.testing.assert_array_equal(seen, evaluate_picture(photograph(20, 30)[:, 5:25], 32))


def test_options_reach_the_function_they_are_for():
    chosen = augmentation.create(
        {"changes": ("shift",), "shift": {"distance": 0.0, "degrees": 0.0}}
    )
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    still = chosen.changes[0](picture, Fixed([1, 1, 1, 0]))
    np.testing.assert_array_equal(still, picture)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"crop": "centre"}, "did you mean center"),
        ({"changes": ("flipp",)}, "did you mean flip"),
        ({"changes": ("shift",), "shift": {"distanse": 1}}, "did you mean distance"),
        ({"repeats": 0}, "repeats is a whole number from 1"),
    ],
)
def test_a_wrong_name_is_one_sentence(chosen, sentence):
    with pytest.raises(DataError, match=sentence):
        augmentation.create(chosen)
