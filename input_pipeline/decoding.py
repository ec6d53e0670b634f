"""Encoded pictures of any mode to RGB uint8."""

import contextlib
import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from input_pipeline import jpeg
from input_pipeline.errors import DataError
from input_pipeline.resizing import Box

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_EXIF_ORIENTATION = 0x0112


def decode(data: bytes, describe: Callable[[], str] = lambda: "picture") -> np.ndarray:
    """Returns the picture as RGB uint8 [height, width, 3], turned as its EXIF data says.

    Grey is repeated, palettes are looked up, 16 bits become 8 by their share of the range, alpha
    is dropped (as torchvision's loader does) and CMYK is converted as Pillow converts it.

    Args:
      data: the bytes of a file in any format that Pillow reads.
      describe: says where the bytes come from; called for an error only.

    Raises:
      DataError: the bytes are no whole picture; the message says what `describe` returns.
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

    For training: a JPEG is decoded no further and no finer than the part needs, see `jpeg.decode_part`, and the picture
    is valid until this thread's next call. What accuracy is measured on goes through `decode`.

    Args:
      data: as for `decode`.
      choose: from the picture's (rows, columns) to a part of it.
      size: what the part will be resized to, in pixels a side.
      describe: as for `decode`.

    Raises:
      DataError: as `decode`.
    """
    head = jpeg.header(data)
    if head is not None:
        box = choose(head.rows, head.columns)
        with contextlib.suppress(ValueError):  # Pillow shall judge
            return jpeg.decode_part(data, head, box, size)
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
    if jpeg.header(data) is not None:
        with contextlib.suppress(ValueError):
            return jpeg.decode(data)
        return None
    if data.startswith(_PNG) and _is_plain_png(data):
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None


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
        return to_rgb(picture)


def to_rgb(picture: Image.Image) -> np.ndarray:
    """Returns an image of Pillow's as RGB uint8 [height, width, 3], as `decode` would its file.

    Raises:
      DataError: its pixels are floating point.
    """
    if picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # Pillow's own conversion would clip at 255
        grey = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        return np.repeat(np.rint(grey / 257).astype(np.uint8)[:, :, None], 3, axis=2)
    if picture.mode == "F":
        raise DataError("floating point brightness has no fixed range; save it with 8 bits")
    return np.array(picture.convert("RGB"))
