"""Files that no decoder has foreseen: each is a picture or one sentence that names it, whatever its bytes."""

import collections
import contextlib
import hashlib
import io
import itertools
import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from input_pipeline import DataError, datasets, decoding, jpeg, loader, pictures, resizing
from input_pipeline.augmentation import Augmentation
from input_pipeline.batches import training_picture
from input_pipeline.decoding import decode, decode_part

_RNG = np.random.default_rng(0)
_SMOOTH = Image.fromarray(_RNG.integers(0, 256, (4, 5, 3), np.uint8)).resize((40, 30))
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA")
# A mutated header may claim to be large, which would only take the test's time.
_MAX_PIXELS = 1_000_000


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif_with(*entries):
    """Returns EXIF data of (tag, type, number of values, four bytes)."""
    directory = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    head = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(entries))
    # A signed fraction of -1 / 0 follows, which rational entries may point at.
    return head + directory + b"\x00" * 4 + struct.pack("<ii", -1, 0)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_that_says(columns, rows, data=b""):
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def as_training_and_evaluation_see_it(data):
    """Decodes in every way that training, evaluation and recognition do."""
    name = "odd.file"

    def describe():
        return name

    results = []
    for see in (
        lambda: resizing.evaluate_picture(decode(data, describe, _MAX_PIXELS), 16),
        lambda: training_picture(
            data, Augmentation(), 16, np.random.default_rng(0), describe, _MAX_PIXELS
        ),
    ):
        sentence = ""
        try:
            picture = see()
        except DataError as error:
            picture, sentence = None, str(error)
        if picture is None:
            assert sentence.startswith(name)
            assert "\n" not in sentence
            results.append(None)
        else:
            assert (picture.shape, picture.dtype) == ((16, 16, 3), np.uint8)
            results.append(picture.copy())
    return results


# Fuzzing.


def originals():
    """Yields files of ten formats, and variants that take other ways through the decoders."""
    for kind in _FORMATS:
        yield encoded(_SMOOTH, kind)
    for mode, kind in (("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("L", "JPEG")):
        yield encoded(_SMOOTH.convert(mode), kind)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "camera", 72.5
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield encoded(_SMOOTH, kind, exif=exif)
    yield encoded(_SMOOTH, "JPEG", progressive=True)
    for kind in ("PNG", "GIF", "WEBP"):
        frames = [_SMOOTH.rotate(90), _SMOOTH.rotate(180)]
        yield encoded(_SMOOTH, kind, save_all=True, append_images=frames)
    yield encoded(_SMOOTH, "TIFF", compression="tiff_lzw")
    deep = Image.fromarray(np.linspace(0, 65535, 1200).reshape(30, 40).astype(np.uint16))
    yield encoded(deep, "PNG")
    yield encoded(deep, "TIFF")


def mutations(count, seed):
    rng = np.random.default_rng(seed)
    files = list(originals())
    for original in itertools.islice(itertools.cycle(files), count):
        data = bytearray(original)
        # Headers are where most can go wrong.
        reach = len(data) if rng.random() < 0.5 else min(len(data), 100)
        for _ in range(rng.integers(1, 5)):
            position, length = int(rng.integers(reach)), int(rng.integers(1, 9))
            match rng.integers(6):
                case 0:
                    data[position : position + 1] = rng.integers(0, 256, 1, np.uint8).tobytes()
                case 1:
                    data[position : position + length] = b"\xff" * length
                case 2:
                    data[position : position + length] = b"\x00" * length
                case 3:
                    del data[position : position + length]
                case 4:
                    data[position:position] = rng.integers(0, 256, length, np.uint8).tobytes()
                case 5:
                    del data[max(1, position) :]
            reach = max(1, min(reach, len(data)))
        if original.startswith(b"\x89PNG") and rng.random() < 0.5:
            data = with_right_checksums(bytes(data))
        yield bytes(data)


def with_right_checksums(png):
    """Returns the file with the checksum that each chunk should have, so that decoders look at the rest."""
    parts, position = [png[:8]], 8
    while position + 12 <= len(png):
        length = int.from_bytes(png[position : position + 4])
        if position + 12 + length > len(png):
            break
        parts.append(
            chunk(png[position + 4 : position + 8], png[position + 8 : position + 8 + length])
        )
        position += 12 + length
    return b"".join(parts) + png[position:]


def peak_memory():
    """Returns the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(count, seed):
    """Decodes mutated files, each twice with other bytes in the memory that pictures are decoded into."""
    outcomes = collections.Counter()
    before = peak_memory()
    for data in mutations(count, seed):
        seen = []
        for dirt in (0x00, 0xAA):
            jpeg._memory(40_000)[:] = dirt
            seen.append(as_training_and_evaluation_see_it(data))
        for first, second in zip(*seen, strict=True):
            np.testing.assert_array_equal(first, second, repr(data))
        outcomes[seen[0][0] is not None] += 1
    assert peak_memory() - before < 500e6  # whatever their headers claim
    assert (
        min(outcomes[True], outcomes[False]) > count // 10
    )  # else the mutations are too weak, or too strong


@pytest.mark.filterwarnings("ignore")
def test_2000_mutated_files_are_pictures_or_sentences():
    fuzz(2_000, seed=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(1, 11))
def test_100000_mutated_files_are_pictures_or_sentences(seed):
    fuzz(10_000, seed)


def print_digests(count, seed):
    """Prints a line for each mutated file: what of it training and evaluation see."""
    for data in mutations(count, seed):
        seen = as_training_and_evaluation_see_it(data)
        print([None if each is None else hashlib.sha256(each).hexdigest() for each in seen])


def test_no_pixel_comes_from_memory_that_nobody_has_written():
    """The C library fills all memory that it hands out or takes back with one value or another."""
    module = Path(__file__)
    program = (
        f"import sys; sys.path.insert(0, {str(module.parent)!r});"
        f"import {module.stem} as tests; tests.print_digests(1_000, seed=0)"
    )
    lines = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "MALLOC_PERTURB_": value},
        ).stdout.splitlines()
        for value in ("1", "170")
    ]
    assert len(lines[0]) == 1_000
    assert lines[0] == lines[1]


# Decoders and what they raise.


@pytest.mark.parametrize(
    "error", [IndexError, TypeError, struct.error, cv2.error, MemoryError, KeyError]
)
@pytest.mark.parametrize(
    ("data", "decoder"),
    [
        (encoded(_SMOOTH, "JPEG"), "input_pipeline.jpeg.decode"),
        (encoded(_SMOOTH, "PNG"), "cv2.imdecode"),
        (encoded(_SMOOTH, "GIF"), "PIL.Image.Image.convert"),
        (encoded(_SMOOTH, "BMP"), "PIL.Image.open"),
        (encoded(_SMOOTH, "TIFF"), "PIL.Image.Image.getexif"),
    ],
)
def test_whatever_a_decoder_raises_names_the_picture(monkeypatch, data, decoder, error):
    def fail(*arguments, **options):
        raise error("for a reason\nof two lines")

    monkeypatch.setattr(decoder, fail)
    monkeypatch.setattr("PIL.Image.Image.load", fail)  # where Pillow decides
    with pytest.raises(DataError, match=r"^cat\.jpg cannot be decoded \([^\n]*\); replace"):
        decode(data, lambda: "cat.jpg")


@pytest.mark.parametrize(
    "entries",
    [
        [(0x0112, 3, 1, b"\x06\x00\x00\x00"), (0x011A, 10, 1, struct.pack("<I", 38))],
        [(0x0112, 3, 1, b"\x06\x00\x00\x00"), (0x010F, 2, 99999, b"\x00\x00\x00\x00")],
        [(0x0112, 3, 1, b"\x06\x00\x00\x00"), (0x8825, 4, 1, b"\xff\xff\x00\x00")],
    ],
    ids=["fraction", "length", "pointer"],
)
@pytest.mark.filterwarnings("ignore")
def test_damage_elsewhere_in_exif_data_does_not_keep_a_picture_from_being_turned(entries):
    data = encoded(_SMOOTH, "JPEG", exif=exif_with(*entries))
    upright = decode(encoded(_SMOOTH, "JPEG"))
    assert np.abs(decode(data).astype(int) - np.rot90(upright, -1)).max() <= 2


@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 20])
def test_a_jpeg_that_is_cut_in_a_header_is_named(length):
    data = encoded(_SMOOTH, "JPEG")[: length - 1] + b"\xff"
    for see in (decode, lambda *given: decode_part(given[0], resizing.Box, 8, given[1])):
        with pytest.raises(DataError, match=r"^cut\.jpg "):
            see(data, lambda: "cut.jpg")


def test_one_odd_picture_among_many_is_counted_and_training_goes_on(tmp_path, capsys):
    for label in ("cat", "dog"):
        (tmp_path / "train" / label).mkdir(parents=True)
        for number in range(4):
            _SMOOTH.save(tmp_path / "train" / label / f"{number}.png")
    (tmp_path / "train" / "cat" / "0.png").write_bytes(png_that_says(60_000, 60_000))
    dataset = datasets.load(f"folder:{tmp_path}")
    batches = loader.train_batches(
        dataset,
        "train",
        image_size=8,
        batch_size=8,
        num_steps=1,
        seed=0,
        max_unreadable_fraction=0.2,
    )
    assert len(list(batches)) == 1
    assert len(batches.faults) == 1
    assert "cat/0.png" in capsys.readouterr().err


# Too many pixels.


def says_30000(kind):
    """Returns a small file whose header says that the picture has 30,000 x 30,000 pixels."""
    tiny = Image.new("RGB", (8, 8))
    data = bytearray(encoded(tiny, kind))
    match kind:
        case "JPEG":
            frame = data.index(b"\xff\xc0")
            data[frame + 5 : frame + 9] = struct.pack(">HH", 30_000, 30_000)
        case "PNG":
            return png_that_says(30_000, 30_000)
        case "GIF":
            data[6:10] = struct.pack("<HH", 30_000, 30_000)
        case "BMP":
            data[18:26] = struct.pack("<ii", 30_000, 30_000)
        case "TIFF":
            return tiff(30_000, 30_000, 8, 1, b"")
        case "PPM":
            return b"P6 30000 30000 255\n"
        case "TGA":
            data[12:16] = struct.pack("<HH", 30_000, 30_000)
        case "WEBP":  # which cannot say more than 16,384
            data = bytearray(animated("WEBP"))
            place = data.index(b"VP8X") + 12
            data[place : place + 6] = (16_383).to_bytes(3, "little") * 2
        case "JPEG2000":
            place = data.index(b"ihdr")
            data[place + 4 : place + 12] = struct.pack(">II", 30_000, 30_000)
            place = data.index(b"\xff\x51")
            for offset in (6, 22):
                data[place + offset : place + offset + 8] = struct.pack(">II", 30_000, 30_000)
    return bytes(data)


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000"]
)
def test_a_file_that_claims_too_many_pixels_is_refused_before_memory_is_taken(kind, monkeypatch):
    def no_memory(*arguments, **options):
        raise AssertionError("pixels were decoded")

    data = says_30000(kind)
    monkeypatch.setattr("simplejpeg.decode_jpeg", no_memory)
    monkeypatch.setattr("cv2.imdecode", no_memory)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_memory)
    for see in (decode, lambda *given: decode_part(given[0], resizing.Box, 8, given[1])):
        with pytest.raises(DataError, match=r"^bomb.* pixels, max_pixels allows 178,956,970\)"):
            see(data, lambda: "bomb")


@pytest.mark.parametrize("kind", [*_FORMATS, "ICO", "PCX"])
def test_the_limit_holds_for_every_format_and_can_be_set(kind, tmp_path):
    data = encoded(_SMOOTH, kind)
    rows, columns, _ = decode(data).shape
    assert decode(data, max_pixels=rows * columns).shape == (rows, columns, 3)
    path = tmp_path / "picture"
    path.write_bytes(data)
    with pytest.raises(DataError, match="pixels, max_pixels allows"):
        decode(data, max_pixels=rows * columns - 1)
    with pytest.raises(DataError, match="pixels, max_pixels allows"):
        pictures.read(path, max_pixels=rows * columns - 1)
    with Image.open(path) as picture, pytest.raises(DataError, match="pixels, max_pixels allows"):
        pictures.read(picture, max_pixels=rows * columns - 1)


def test_the_limit_reaches_training_evaluation_and_recognition(tmp_path, digits):
    options = {"image_size": 8, "batch_size": 4, "max_pixels": 63}  # the digits have 64
    for batches in (
        loader.train_batches(digits, "train", num_steps=1, seed=0, **options),
        loader.eval_batches(digits, "test", **options),
    ):
        with pytest.raises(DataError, match="8 x 8 pixels, max_pixels allows 63") as caught:
            list(batches)
        assert "\n" not in str(caught.value)
    _SMOOTH.save(tmp_path / "picture.png")
    (batch,) = pictures.batches([tmp_path / "picture.png"], **options)
    assert "40 x 30 pixels, max_pixels allows 63" in batch.errors[0]


def test_a_png_chunk_that_claims_to_be_long_takes_no_memory(monkeypatch):
    def no_memory(*arguments):
        raise AssertionError("OpenCV would take as much memory as it claims")

    monkeypatch.setattr("cv2.imdecode", no_memory)
    data = encoded(_SMOOTH, "PNG")
    for name in (b"IDAT", b"IEND"):
        place = data.index(name)
        with contextlib.suppress(DataError):
            picture = decode(data[: place - 4] + b"\xff\xff\xff\xf0" + data[place:])
            np.testing.assert_array_equal(picture, np.asarray(_SMOOTH))


def test_a_user_may_allow_more_than_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 200)
    with pytest.raises(DataError, match="too many pixels"):
        decode(encoded(_SMOOTH, "BMP"), max_pixels=200)
    assert decode(encoded(_SMOOTH, "BMP"), max_pixels=1200).shape == (30, 40, 3)


def test_a_picture_without_pixels_is_named():
    with pytest.raises(DataError, match=r"^empty\.png cannot be decoded"):
        decode(png_that_says(0, 0), lambda: "empty.png")


# Animations.


def animated(kind="PNG", **options):
    frames = [_SMOOTH.rotate(180), _SMOOTH.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return encoded(_SMOOTH, kind, save_all=True, append_images=frames, **options)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("default_image", [False, True])
def test_an_animation_is_what_pillow_shows(kind, default_image):
    options = {"default_image": default_image} if kind == "PNG" else {}
    data = animated(kind, **options)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), shown)
    if kind == "PNG":
        np.testing.assert_array_equal(decode(data), np.asarray(_SMOOTH))


@pytest.mark.parametrize("lost", [b"acTL", b"fcTL", b"fdAT"])
def test_an_animation_that_lost_chunks_is_what_pillow_shows_or_named(lost):
    parts, position = [], 8
    data = animated(default_image=True)
    while position < len(data):
        length = 12 + int.from_bytes(data[position : position + 4])
        if data[position + 4 : position + 8] != lost:
            parts.append(data[position : position + length])
        position += length
    data = data[:8] + b"".join(parts)
    try:
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except SyntaxError:
        with pytest.raises(DataError, match="cannot be decoded"):
            decode(data)
    else:
        np.testing.assert_array_equal(decode(data), shown)


def test_rows_that_a_damaged_png_lacks_are_never_those_of_another_picture():
    """Whatever was in memory before: an animated PNG whose only frame has too few rows."""
    rows = zlib.compress(bytes(1 + 3 * 40) * 10)
    frame = struct.pack(">IIIIIHHBB", 0, 40, 30, 0, 0, 1, 10, 0, 0)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 2, 0, 0, 0))
    animation = chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", frame)
    data = b"\x89PNG\r\n\x1a\n" + header + animation + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    for dirt in (1, 77, 255):
        other = encoded(Image.new("RGB", (40, 30), (dirt,) * 3), "PNG")
        for _ in range(3):
            assert decode(other).min() == dirt
            assert decode(data).max() == 0


# Integers above 8 bits.


def tiff(columns, rows, bits, sample_format, pixels):
    """Returns an uncompressed gray TIFF of integers of so many bits; format 1 is unsigned, 2 signed."""
    tags = {
        256: columns,
        257: rows,
        258: bits,
        259: 1,
        262: 1,
        273: 8,
        277: 1,
        278: rows,
        279: len(pixels),
        339: sample_format,
    }
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + b"\x00" * 4
    return b"II*\x00" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


@pytest.mark.parametrize(
    ("dtype", "sample_format"),
    [("<i4", 2), ("<u4", 1), ("<i2", 2)],
    ids=["int32", "uint32", "int16"],
)
def test_integers_without_a_range_are_refused_in_one_sentence(dtype, sample_format, tmp_path):
    levels = np.arange(64).astype(dtype)
    data = tiff(8, 8, 8 * levels.itemsize, sample_format, levels.tobytes())
    with pytest.raises(DataError, match=r"^x\.tif .*no fixed range; save it with 8 or 16 bits"):
        decode(data, lambda: "x.tif")
    path = tmp_path / "x.tif"
    path.write_bytes(data)
    with Image.open(path) as picture, pytest.raises(DataError, match="no fixed range"):
        pictures.read(picture)


def test_12_bits_are_scaled_by_their_own_range():
    levels = np.arange(0, 4096, 64).reshape(8, 8)
    pairs = levels.reshape(-1, 2)
    packed = b"".join(int(first << 12 | second).to_bytes(3) for first, second in pairs)
    picture = decode(tiff(8, 8, 12, 1, packed))
    np.testing.assert_array_equal(picture[:, :, 0], np.rint(levels * 255 / 4095))


def test_16_bits_of_a_pgm_are_scaled_by_their_range():
    levels = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    picture = decode(b"P5 8 8 65535\n" + levels.astype(">u2").tobytes())
    np.testing.assert_array_equal(picture[:, :, 0], np.rint(levels / 257))
