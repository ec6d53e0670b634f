"""What evaluation sees is what torchvision and timm see; what training sees is near it and fast."""

import io

import numpy as np
import pytest
from PIL import Image

from input_pipeline import DataError, decoding, resizing
from input_pipeline.resizing import Box

METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resize_then_crop(picture, image_size, shorter, interpolation="bilinear"):
    """Returns what torchvision's Resize and CenterCrop do with Pillow, in two steps."""
    image = Image.fromarray(picture)
    scale = min(image.size)
    width, height = (int(shorter * side / scale) for side in image.size)
    image = image.resize((width, height), METHODS[interpolation])
    left, top = round((width - image_size) / 2), round((height - image_size) / 2)
    return np.asarray(image.crop((left, top, left + image_size, top + image_size)))


def jpeg(picture, quality=95):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.mark.parametrize("interpolation", METHODS)
@pytest.mark.parametrize(
    ("size", "image_size", "shorter"),
    [
        ((375, 500), 224, 256),
        ((500, 333), 224, 256),
        ((375, 500), 224, 232),
        ((299, 448), 299, 342),
        ((480, 641), 96, 120),
        ((32, 32), 32, 32),
        ((8, 8), 32, 32),
        ((20, 31), 64, 73),
        ((1, 7), 16, 16),
    ],
)
def test_evaluation_is_resize_then_center_crop(
    size, image_size, shorter, interpolation, photograph
):
    picture = photograph(*size)
    result = resizing.evaluate_picture(picture, image_size, image_size / shorter, interpolation)
    expected = resize_then_crop(picture, image_size, shorter, interpolation)
    assert result.shape == (image_size, image_size, 3)
    differences = np.abs(result.astype(int) - expected)
    assert differences.mean() < 0.5
    assert differences.max() <= 2


def test_sizes_are_rounded_down_as_timm_does():
    # timm: floor(224 / 0.95) = 235, of which the middle 224 are seen.
    (box,) = resizing.evaluation_boxes(235, 235, 224, 0.95, 1)
    assert box == (6, 6, 224, 224)  # Python rounds 5.5 to 6, as torchvision's CenterCrop does
    # torchvision's V2 weights: 224 / 232 is meant to be 232 again.
    (box,) = resizing.evaluation_boxes(232, 232, 224, 224 / 232, 1)
    assert box == (4, 4, 224, 224)


def test_shrinking_does_not_alias():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resizing.evaluate_picture(stripes, 64).astype(int) - 127.5)[:, 2:-2].max() < 8
    fast = resizing.resize_fast(stripes, Box(0, 0, 256, 256), 64)
    assert np.abs(fast.astype(int) - 127.5).max() < 8


def test_ten_crops_are_corners_center_and_their_mirror_images(photograph):
    picture = photograph(64, 80)
    crops = resizing.ten_crops(picture, 48, 0.75)
    assert crops.shape == (10, 48, 48, 3)
    # The picture's shorter side is 48 / 0.75 = 64 already.
    expected = [
        picture[:48, :48],
        picture[:48, -48:],
        picture[-48:, :48],
        picture[-48:, -48:],
        picture[8:56, 16:64],
    ]
    np.testing.assert_array_equal(crops[:5], expected)
    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])


@pytest.mark.parametrize("box", [Box(10, 20, 300, 200), Box(3.4, 7.6, 90.2, 90.2)])
def test_fast_resizing_is_near_the_exact_one(box, photograph):
    picture = photograph(375, 500)
    fast = resizing.resize_fast(picture, box, 96).astype(int)
    exact = resizing.resize_exactly(picture, box, 96, 96)
    assert np.abs(fast - exact).mean() < 6


@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(9.9, 9.9, 0.1, 0.1), Box(0, 0, 10, 10)])
def test_fast_resizing_takes_the_smallest_parts(box, photograph):
    assert resizing.resize_fast(photograph(10, 10), box, 8).shape == (8, 8, 3)


def test_a_large_jpeg_is_decoded_smaller_when_a_small_picture_is_wanted(photograph):
    data = jpeg(photograph(800, 1000))
    whole = decoding.decode(data)
    box = Box(100, 200, 600, 600)
    picture, part = decoding.decode_part(data, lambda rows, columns: box, 96)
    assert picture.shape[0] <= 400
    assert part.width / picture.shape[1] == pytest.approx(600 / 1000)
    near = resizing.resize_fast(picture, part, 96).astype(int)
    expected = resizing.resize_fast(whole, box, 96)
    assert np.abs(near - expected).mean() < 2


def test_a_part_that_is_not_much_larger_is_decoded_in_full(photograph):
    data = jpeg(photograph(300, 400))
    picture, part = decoding.decode_part(data, lambda rows, columns: Box(0, 0, 200, 200), 128)
    whole = decoding.decode(data)
    assert picture.shape[1:] == whole.shape[1:]
    assert part == (0, 0, 200, 200)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("bottom", [1, 100, 127, 128, 129, 290, 300])
def test_leaving_out_rows_below_the_part_changes_nothing_in_it(bottom, subsampling, photograph):
    file = io.BytesIO()
    Image.fromarray(photograph(300, 200)).save(file, "JPEG", quality=90, subsampling=subsampling)
    data = file.getvalue()
    all_rows, _ = decoding.decode_part(data, lambda rows, columns: Box(0, 0, rows, columns), 300)
    all_rows = all_rows.copy()
    picture, part = decoding.decode_part(
        data, lambda rows, columns: Box(bottom - 1, 0, 1, columns), 200
    )
    assert (picture.shape[0] < 300) == (bottom < 288 - 16)
    assert part == (bottom - 1, 0, 1, 200)
    np.testing.assert_array_equal(picture[:bottom], all_rows[:bottom])
    exact = decoding.decode(data).astype(int)[:bottom]
    assert np.abs(picture[:bottom] - exact).mean() < 2


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_cut_file_is_told_from_a_whole_one(kept, photograph):
    data = jpeg(photograph(300, 200))
    with pytest.raises(DataError, match="cannot be decoded"):
        decoding.decode_part(data[: int(kept * len(data))], lambda r, c: Box(0, 0, 50, 50), 32)


def test_the_part_is_chosen_from_the_size_after_turning(photograph):
    image = Image.fromarray(photograph(30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    sizes = []

    def choose(rows, columns):
        sizes.append((rows, columns))
        return Box(0, 0, rows, columns)

    picture, _ = decoding.decode_part(file.getvalue(), choose, 16)
    assert sizes == [picture.shape[:2]] == [(40, 30)]


def test_an_unknown_interpolation_is_one_sentence(photograph):
    with pytest.raises(DataError, match="did you mean bicubic"):
        resizing.evaluate_picture(photograph(8, 8), 8, 1.0, "bicubik")
