"""Decodes plain JPEGs, or parts of them, with libjpeg-turbo; others (CMYK, rotated, damaged) are left to Pillow."""

import math
import threading
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from input_pipeline.resizing import Box

_BEGIN, _END = b"\xff\xd8\xff", b"\xff\xd9"
_EXIF = b"Exif\x00\x00"
_EXIF_ORIENTATION = 0x0112
# Markers (ITU-T T.81, table B.1).
_SEQUENTIAL_FRAMES, _START_OF_SCAN = (0xC0, 0xC1), 0xDA
# The tallest unit that pixels are coded in, in rows.
_MAX_UNIT = 16
# The scales, in eighths, that a picture may be decoded at where its part is larger than needed, coarsest first.
REDUCTIONS = (1, 2, 3, 4)
WHOLE = 8

_thread = threading.local()


class Header(NamedTuple):
    """What the header of a JPEG says.

    Attributes:
      rows, columns: the size of the picture, in pixels.
      frame: where the frame header begins if the frame is sequential, which codes its rows in order; else None.
    """

    rows: int
    columns: int
    frame: int | None


def header(data: bytes) -> Header | None:
    """Returns the header of a gray or RGB JPEG that needs no rotation; None for anything else."""
    if not data.startswith(_BEGIN):
        return None
    position, frame = 2, None
    # A marker and its length take 4 bytes.
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        if marker == _START_OF_SCAN:
            break
        if marker in _SEQUENTIAL_FRAMES:
            frame = position
        segment_end = position + 2 + length
        is_exif = data.startswith(_EXIF, position + 4)
        if is_exif and _orientation(data[position + 4 : segment_end]) != 1:
            return None
        position = segment_end
    else:
        return None  # padded or unusual
    try:
        rows, columns, colors, _ = simplejpeg.decode_jpeg_header(data)
    except Exception:  # damaged in whichever way
        return None
    return Header(rows, columns, frame) if colors in ("Gray", "YCbCr", "RGB") else None


def decode(data: bytes) -> np.ndarray:
    """Returns the picture as RGB uint8 [rows, columns, 3].

    Raises:
      ValueError: it is damaged in any way.
    """
    return simplejpeg.decode_jpeg(data, "RGB")


def decode_part(data: bytes, head: Header, box: Box, size: int) -> tuple[np.ndarray, Box]:
    """Returns the picture, as far as the box needs it, and the box in pixels of what is returned.

    Rows below the box are not decoded, and if the box is more than twice as large as needed, the picture is decoded at
    half its size or less. The transform is the fast one, TensorFlow's default too, so values may be off by a level or
    two. The picture is valid until this thread's next call: all pictures are decoded into the same memory, which stays
    in the processor's cache.

    Args:
      data: the bytes of the file.
      head: the header, from `header`.
      box: the part that is needed.
      size: what the part will be resized to, in pixels a side.

    Raises:
      ValueError: it is damaged.
    """
    encoded: bytes | bytearray = data
    rows = rows_decoded(head.rows, box, can_be_cut(data, head))
    cut = rows < head.rows
    if cut and head.frame is not None:
        # libjpeg decodes as many rows as the header says and skips the rest.
        encoded = bytearray(data)
        encoded[head.frame + 5 : head.frame + 7] = rows.to_bytes(2)
    min_height, min_width = _smallest(rows, head.columns, box, size)
    picture = simplejpeg.decode_jpeg(
        encoded,
        "RGB",
        min_height=min_height,
        min_width=min_width,
        min_factor=2,
        fastdct=True,
        buffer=_memory(rows * head.columns * 3),
        strict=not cut,  # else the skipped rest counts as damage
    )
    return picture, box.scaled(picture.shape[0] / rows, picture.shape[1] / head.columns)


def decode_at(data: bytes, head: Header, eighths: int) -> np.ndarray:
    """Returns the whole picture at a scale, with the pixels that `decode_part` gives its parts at that scale.

    Raises:
      ValueError: it is damaged.
    """
    return simplejpeg.decode_jpeg(
        data,
        "RGB",
        min_height=reduced(head.rows, eighths),
        min_width=reduced(head.columns, eighths),
        min_factor=2,
        fastdct=True,
    )


def can_be_cut(data: bytes, head: Header) -> bool:
    """Returns whether the rows at the bottom of a picture can be left undecoded."""
    return head.frame is not None and data.rfind(_END, len(data) - 64) >= 0


def rows_decoded(rows: int, box: Box, can_be_cut: bool) -> int:
    """Returns how many of a picture's rows `decode_part` decodes for the box."""
    # One unit more than the box: chroma is interpolated between rows.
    needed = (math.ceil(box.top + box.height) // _MAX_UNIT + 2) * _MAX_UNIT
    return min(rows, needed) if can_be_cut else rows


def scale_decoded(rows: int, columns: int, box: Box, size: int) -> int:
    """Returns the scale, in eighths, at which `decode_part` decodes so many rows for the box."""
    min_height, min_width = _smallest(rows, columns, box, size)
    for eighths in REDUCTIONS:
        if reduced(rows, eighths) >= min_height and reduced(columns, eighths) >= min_width:
            return eighths
    return WHOLE


def reduced(length: int, eighths: int) -> int:
    """Returns how many pixels there are of a side's `length` at a scale, as libjpeg rounds it."""
    return -(-length * eighths // WHOLE)


def _smallest(rows: int, columns: int, box: Box, size: int) -> tuple[int, int]:
    """Returns the height and width to which a picture may be reduced, so that the box keeps `size` pixels a side."""
    return (
        math.ceil(rows * size / max(1.0, box.height)),
        math.ceil(columns * size / max(1.0, box.width)),
    )


def _orientation(segment: bytes) -> int:
    """Returns the EXIF orientation: 1 if there is none, 0 if the data is damaged and Pillow has to decide."""
    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(_EXIF_ORIENTATION, 1)
    except Exception:  # parsing damaged data may raise anything
        return 0


def _memory(size: int) -> np.ndarray:
    """Returns at least `size` bytes that belong to this thread, reused as long as they are enough."""
    memory = getattr(_thread, "memory", None)
    if memory is None or memory.size < size:
        memory = _thread.memory = np.empty(size, np.uint8)
    return memory
