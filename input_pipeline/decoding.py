"""Decodes pictures of any mode to RGB uint8."""

import contextlib
import io
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from input_pipeline import jpeg
from input_pipeline.errors import DataError
from input_pipeline.resizing import Box

# Where Pillow, too, refuses a picture unless it is told otherwise: decoded, it takes 0.5 GB.
MAX_PIXELS = 178_956_970

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
# Chunks of PNGs with transparency, orientation or animation. Of an animation OpenCV shows another frame than Pillow, or
# memory that nobody has written.
_NOT_PLAIN = frozenset({b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"})
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_BITS_PER_SAMPLE = 258


def decode(
    data: bytes,
    describe: Callable[[], str] = lambda: "picture",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Returns the picture as RGB uint8 [height, width, 3], rotated as its EXIF data says.

    Gray is repeated over the channels, palettes are looked up, 16 bits are scaled to 8, alpha is
    dropped (as torchvision's loader does) and CMYK is converted as Pillow does it. Of an animation
    it is the picture that Pillow shows first.

    Args:
      data: the bytes of a file in any format that Pillow reads.
      describe: returns where the bytes come from; called only for an error.
      max_pixels: a picture whose header says that it has more is not decoded.

    Raises:
      DataError: the bytes are not a complete picture, or one with too many pixels; the message begins with what
        `describe` returns.
    """
    with naming(describe, data):
        picture = _decode_fast(data, max_pixels)
        return _decode_with_pillow(data, max_pixels) if picture is None else picture


def decode_part(
    data: bytes,
    choose: Callable[[int, int], Box],
    size: int,
    describe: Callable[[], str] = lambda: "picture",
    max_pixels: int = MAX_PIXELS,
) -> tuple[np.ndarray, Box]:
    """Returns a decoded picture and the part of it that `choose` takes, in pixels of the picture returned.

    For training: a JPEG is decoded only as far and as finely as the part needs (see `jpeg.decode_part`), and the
    picture is valid until this thread's next call. Pictures that accuracy is measured on go through `decode`.

    Args:
      data: as for `decode`.
      choose: returns a part of a picture of (rows, columns).
      size: what the part will be resized to, in pixels a side.
      describe: as for `decode`.
      max_pixels: as for `decode`.

    Raises:
      DataError: as `decode`.
    """
    with naming(describe, data):
        head = jpeg.header(data)
        if head is not None:
            check_size(head.rows, head.columns, max_pixels)
    if head is not None:
        box = choose(head.rows, head.columns)
        with contextlib.suppress(Exception):  # Pillow decides
            return jpeg.decode_part(data, head, box, size)
    picture = decode(data, describe, max_pixels)
    return picture, choose(*picture.shape[:2])


def check_size(rows: int, columns: int, max_pixels: int) -> None:
    """Checks what a header says of a picture, before memory is taken for its pixels.

    Raises:
      DataError: it has no pixels, or more than `max_pixels`.
    """
    if rows < 1 or columns < 1:
        raise DataError("it has no pixels")
    if rows * columns > max_pixels:
        raise DataError(f"it has {columns:,} x {rows:,} pixels, max_pixels allows {max_pixels:,}")


@contextlib.contextmanager
def naming(describe: Callable[[], str], data: bytes | None = None) -> Iterator[None]:
    """Turns whatever a decoder raises into a `DataError` that names the picture.

    Decoders that meet bytes nobody has foreseen raise nearly anything: struct.error, IndexError, cv2.error, ...

    Args:
      describe: returns where the picture comes from.
      data: the bytes of its file, if it is one.
    """
    try:
        yield
    except Exception as error:
        raise DataError(
            f"{describe()} {_what_is_wrong(error, data)}; replace or remove it"
        ) from error


def _what_is_wrong(error: Exception, data: bytes | None) -> str:
    if data == b"":
        return "is empty"
    if isinstance(error, MemoryError):
        return "cannot be decoded (not enough memory)"
    lines = str(error).strip().splitlines()
    if isinstance(error, UnidentifiedImageError) or not lines:
        return "is not a picture in a format that Pillow reads"
    return f"cannot be decoded ({lines[0].rstrip('.')})"


def _decode_fast(data: bytes, max_pixels: int) -> np.ndarray | None:
    """Returns a plain JPEG or PNG decoded without Pillow; None where Pillow has to decide.

    Raises:
      DataError: it has too many pixels.
    """
    head = jpeg.header(data)
    if head is not None:
        check_size(head.rows, head.columns, max_pixels)
        with contextlib.suppress(Exception):
            return jpeg.decode(data)
        return None
    if data.startswith(_PNG) and _is_plain_png(data):
        columns, rows = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        check_size(rows, columns, max_pixels)
        with contextlib.suppress(Exception):
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None


def _is_plain_png(data: bytes) -> bool:
    """Returns whether a PNG is complete, and 8-bit gray or RGB without transparency, orientation or animation.

    OpenCV decodes such a file as Pillow does; of a truncated file it would return the rows there are, and it takes
    as much memory as a chunk claims to be long.
    """
    if len(data) < 45 or _PNG_END not in data[-64:]:
        return False
    bit_depth, color_type = data[24], data[25]
    if bit_depth != 8 or color_type not in (0, 2):
        return False
    chunk, position = b"", len(_PNG)
    while chunk != b"IEND" and position + 12 <= len(data):
        chunk = data[position + 4 : position + 8]
        if chunk in _NOT_PLAIN:
            return False
        # A chunk is its length, its name, so many bytes and a checksum.
        position += int.from_bytes(data[position : position + 4]) + 12
    return chunk == b"IEND" and position <= len(data)


def _decode_with_pillow(data: bytes, max_pixels: int) -> np.ndarray:
    _raise_limit_of_pillow(max_pixels)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return to_rgb(picture, max_pixels)
    except Image.DecompressionBombError as error:
        raise DataError(f"it has too many pixels, max_pixels allows {max_pixels:,}") from error


def _raise_limit_of_pillow(max_pixels: int) -> None:
    """Lets Pillow open pictures above its own limit where a user allows more: it has one limit for a whole process."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and max_pixels > max(MAX_PIXELS, 2 * limit):
        Image.MAX_IMAGE_PIXELS = max_pixels


def to_rgb(picture: Image.Image, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns a Pillow image as RGB uint8 [height, width, 3], as `decode` would return its file.

    Raises:
      DataError: its brightness has no fixed range, or it has more than `max_pixels` pixels.
    """
    check_size(picture.height, picture.width, max_pixels)
    picture.load()
    # An icon may hold another picture than its header says.
    check_size(picture.height, picture.width, max_pixels)
    brightest = _brightest_integer(picture)
    # Not ImageOps.exif_transpose: it also writes the EXIF data anew, and fails where these are damaged.
    turn = _UPRIGHT.get(picture.getexif().get(_EXIF_ORIENTATION, 1))
    if turn is not None:
        picture = picture.transpose(turn)
    if brightest is not None:  # Pillow's own conversion would clip at 255
        levels = np.rint(np.arange(brightest + 1) * (255 / brightest)).astype(np.uint8)
        gray = levels[np.clip(np.asarray(picture), 0, brightest)]
        return np.repeat(gray[:, :, None], 3, axis=2)
    return np.array(picture.convert("RGB"))


def _brightest_integer(picture: Image.Image) -> int | None:
    """Returns the value of white in a picture of integers above 8 bits; None for pictures of 8 bits.

    Raises:
      DataError: no value is white: these are measurements, such as a photograph in floating point.
    """
    if picture.mode == "F":
        raise DataError("floating point brightness has no fixed range; save it with 8 bits")
    if picture.mode == "I" and picture.format != "PPM":  # Pillow scales this format to 16 bits
        raise DataError(
            "brightness as signed or 32-bit integers has no fixed range; save it with 8 or 16 bits"
        )
    if not picture.mode.startswith("I"):
        return None
    tags = getattr(picture, "tag_v2", {})
    return 0xFFF if tags.get(_TIFF_BITS_PER_SAMPLE) == (12,) else 0xFFFF
