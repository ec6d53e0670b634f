"""Decoding the odd files that picture datasets hold."""

import io

import numpy as np
import pytest
from PIL import Image

from input_pipeline import DataError
from input_pipeline.decoding import decode

SMOOTH = np.asarray(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)).resize(
        (50, 40), Image.Resampling.BICUBIC
    )
)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reference(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("LA", "PNG"),
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("P", "GIF"),
        ("L", "JPEG"),
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("RGB", "BMP"),
        ("RGBA", "WEBP"),
        ("CMYK", "TIFF"),
    ],
)
def test_every_mode_becomes_the_rgb_that_pillow_gives(mode, kind):
    data = encoded(Image.fromarray(SMOOTH).convert(mode), kind)
    picture = decode(data)
    assert (picture.shape, picture.dtype) == ((40, 50, 3), np.uint8)
    # JPEG decoders may round differently by a level.
    assert np.abs(picture.astype(int) - reference(data)).max() <= (2 if kind == "JPEG" else 0)


def test_gray_png_with_a_transparent_level_and_rgb_png_with_16_bits():
    data = encoded(Image.fromarray(SMOOTH).convert("L"), "PNG", transparency=7)
    np.testing.assert_array_equal(decode(data), reference(data))


def test_16_bit_gray_keeps_its_share_of_the_range():
    levels = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    picture = decode(encoded(Image.fromarray(levels), "PNG"))
    np.testing.assert_array_equal(picture[:, :, 0], np.rint(levels / 257))
    assert (picture == picture[:, :, :1]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(kind, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(SMOOTH), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.abs(decode(data).astype(int) - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "cat.jpg is empty"),
        (b"not a picture", "cat.jpg is not a picture"),
        (encoded(Image.fromarray(SMOOTH), "JPEG")[:400], "cat.jpg cannot be decoded"),
        (encoded(Image.fromarray(SMOOTH), "PNG")[:400], "cat.jpg cannot be decoded"),
        (encoded(Image.fromarray(SMOOTH), "PNG")[:20], "cat.jpg"),
        (encoded(Image.fromarray(SMOOTH[:, :, 0].astype(np.float32)), "TIFF"), "floating point"),
    ],
)
def test_broken_files_are_named_in_one_sentence(data, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        decode(data, lambda: "cat.jpg")
    assert "\n" not in str(caught.value)
