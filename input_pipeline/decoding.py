"""Encoded pictures of any mode to RGB uint8."""

import io
import math
import threading
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from input_pipeline.errors import DataError
from input_pipeline.resizing import Box

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_EXIF = b"Exif\x00\x00"
_START_OF_SCAN = 0xDA
_EXIF_ORIENTATION = 0x0112

_thread = threading.local()


def decode(data: bytes, describe: Callable[[], str] = lambda: "picture") -> np.ndarray:
    """Returns the picture as RGB uint8 [height, width, 3], turned as its EXIF data says.

    Grey is repeated, palettes are looked up, 16 bits become 8 by their share of the range, alpha
    is dropped (as torchvision's loader does) and CMYK is converted as Pillow converts it.

    Args:
        data: The bytes of a file in any format that Pillow reads.
        describe: Says where the bytes come from; called for an error only.

    Raises:
        DataError: The bytes are no whole picture; the message says what `describe` returns.
    """
    picture = _decode_fast(data)
    if picture is not None:
        return picture
    try:
        return _decode_with_pillow(data)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{describe()} {_what_is_wrong(data, error)}; replace or remove it"
        ) from error


def decode_part(
    data: bytes,
    choose: Callable[[int, int], Box],
    size: int,
    describe: Callable[[], str] = lambda: "picture",
) -> tuple[np.ndarray, Box]:
    """Returns a decoded picture, and the part of it that `choose` takes, in pixels of what is returned.

    The picture is valid until this thread's next call: pictures are decoded into the same memory, which stays in the
    processor's cache. A JPEG of which the part is over twice as large as wanted is decoded at a half or less, which
    takes a fraction of the time.

    Args:
        data: As for `decode`.
        choose: From the picture's (rows, columns) to a part of it.
        size: What the part will be resized to, in pixels a side.
        describe: As for `decode`.

    Raises:
        DataError: As `decode`.
    """
    header = _plain_jpeg_size(data)
    if header is not None:
        rows, columns = header
        box = choose(rows, columns)
        try:
            picture = simplejpeg.decode_jpeg(
                data,
                "RGB",
                min_height=math.ceil(rows * size / max(1.0, box.height)),
                min_width=math.ceil(columns * size / max(1.0, box.width)),
                min_factor=2,
                buffer=_memory(rows * columns * 3),
            )
            return picture, box.scaled(picture.shape[0] / rows, picture.shape[1] / columns)
        except ValueError:
            pass  # Pillow shall judge
    picture = decode(data, describe)
    return picture, choose(*picture.shape[:2])


def _what_is_wrong(data: bytes, error: Exception) -> str:
    if not data:
        return "is empty"
    if isinstance(error, UnidentifiedImageError) or not str(error):
        return "is not a picture in a format that Pillow reads"
    reason = str(error).splitlines()[0].rstrip(".")
    return f"cannot be decoded ({reason})"


def _decode_fast(data: bytes) -> np.ndarray | None:
    """Returns a plain JPEG or PNG decoded without Pillow; None where Pillow shall judge."""
    if _plain_jpeg_size(data) is not None:
        try:
            return simplejpeg.decode_jpeg(data, "RGB")
        except ValueError:
            return None
    if data.startswith(_PNG) and _is_plain_png(data):
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None


def _plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Returns the rows and columns of a grey or RGB JPEG that is not to be turned; None for anything else."""
    if not data.startswith(_JPEG) or _has_exif(data):
        return None
    try:
        rows, columns, colors, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return (rows, columns) if colors in ("Gray", "YCbCr", "RGB") else None


def _has_exif(data: bytes) -> bool:
    """Says whether one of a JPEG's segments before its pixels is EXIF data."""
    position = 2
    while data[position : position + 1] == b"\xff":
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        if marker == _START_OF_SCAN:
            return False
        if data.startswith(_EXIF, position + 4):
            return True
        position += 2 + length
    return _EXIF in data  # padded or odd: to be sure


def _memory(size: int) -> np.ndarray:
    """Returns at least `size` bytes that belong to this thread, the same ones as far as they are enough."""
    memory = getattr(_thread, "memory", None)
    if memory is None or memory.size < size:
        memory = _thread.memory = np.empty(size, np.uint8)
    return memory


def _is_plain_png(data: bytes) -> bool:
    """Says whether a PNG is whole, and 8-bit grey or RGB without transparency or orientation.

    OpenCV decodes such a file as Pillow does; of a cut one it would return the rows it has.
    """
    if len(data) < 45 or _PNG_END not in data[-64:]:
        return False
    bit_depth, color_type = data[24], data[25]
    head = data[: data.find(b"IDAT")]
    return bit_depth == 8 and color_type in (0, 2) and b"tRNS" not in head and b"eXIf" not in data


def _decode_with_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        if picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
            picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # Pillow's own conversion would clip at 255
            grey = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
            return np.repeat(np.rint(grey / 257).astype(np.uint8)[:, :, None], 3, axis=2)
        if picture.mode == "F":
            raise DataError("floating point brightness has no fixed range; save it with 8 bits")
        return np.array(picture.convert("RGB"))
