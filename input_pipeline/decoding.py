"""Decodes pictures of any mode to RGB uint8."""

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
    """Returns the picture as RGB uint8 [height, width, 3], rotated as its EXIF data says.

    Gray is repeated over the channels, palettes are looked up, 16 bits are scaled to 8, alpha is
    dropped (as torchvision's loader does) and CMYK is converted as Pillow does it.

    Args:
      data: the bytes of a file in any format that Pillow reads.
      describe: returns where the bytes come from; called only for an error.

    Raises:
      DataError: the bytes are not a complete picture; the message begins with what `describe` returns.
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
    """Returns a decoded picture and the part of it that `choose` takes, in pixels of the picture returned.

    For training: a JPEG is decoded only as far and as finely as the part needs (see `jpeg.decode_part`), and the
    picture is valid until this thread's next call. Pictures that accuracy is measured on go through `decode`.

    Args:
      data: as for `decode`.
      choose: returns a part of a picture of (rows, columns).
      size: what the part will be resized to, in pixels a side.
      describe: as for `decode`.

    Raises:
      DataError: as `decode`.
    """
    head = jpeg.header(data)
    if head is not None:
        box = choose(head.rows, head.columns)
        with contextlib.suppress(ValueError):  # Pillow decides
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
    """Returns a plain JPEG or PNG decoded without Pillow; None where Pillow has to decide."""
    if jpeg.header(data) is not None:
        with contextlib.suppress(ValueError):
            return jpeg.decode(data)
        return None
    if data.startswith(_PNG) and _is_plain_png(data):
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None


def _is_plain_png(data: bytes) -> bool:
    """Returns whether a PNG is complete, and 8-bit gray or RGB without transparency or orientation.

    OpenCV decodes such a file as Pillow does; of a truncated file it would return the rows there are.
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
    """Returns a Pillow image as RGB uint8 [height, width, 3], as `decode` would return its file.

    Raises:
      DataError: its pixels are floating point.
    """
    if picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # Pillow's own conversion would clip at 255
        gray = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        return np.repeat(np.rint(gray / 257).astype(np.uint8)[:, :, None], 3, axis=2)
    if picture.mode == "F":
        raise DataError("floating point brightness has no fixed range; save it with 8 bits")
    return np.array(picture.convert("RGB"))
