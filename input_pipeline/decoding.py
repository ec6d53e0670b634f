"""Encoded pictures of any mode to RGB uint8."""

import io

import cv2
import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from input_pipeline.errors import DataError

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\x00\x00"
_EXIF_ORIENTATION = 0x0112


def decode(data: bytes, origin: str = "picture") -> np.ndarray:
    """Returns the picture as RGB uint8 [height, width, 3], turned as its EXIF data says.

    Grey is repeated, palettes are looked up, 16 bits become 8 by their share of the range, alpha
    is dropped (as torchvision's loader does) and CMYK is converted as Pillow converts it.

    Args:
        data: The bytes of a file in any format that Pillow reads.
        origin: Where the bytes come from, for the error.

    Raises:
        DataError: The bytes are no whole picture; the message names `origin`.
    """
    try:
        if data.startswith(_JPEG) and _EXIF not in data[:65536]:
            colors = simplejpeg.decode_jpeg_header(data)[2]
            if colors in ("Gray", "YCbCr", "RGB"):
                return simplejpeg.decode_jpeg(data, "RGB")
        elif data.startswith(_PNG) and _is_plain_png(data):
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
            if picture is not None:
                return picture
        return _decode_with_pillow(data)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = "is empty" if not data else "is not a picture that can be decoded"
        if isinstance(error, UnidentifiedImageError) or not data:
            raise DataError(f"{origin} {what}; replace or remove it") from error
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"{origin} {what} ({reason}); replace or remove it") from error


def _is_plain_png(data: bytes) -> bool:
    """Says whether a PNG is 8-bit grey or RGB without transparency, which OpenCV decodes alike."""
    bit_depth, color_type = data[24], data[25]
    head = data[: data.find(b"IDAT")]
    return bit_depth == 8 and color_type in (0, 2) and b"tRNS" not in head and b"eXIf" not in head


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
