"""NumPy's archives of arrays from strangers: read without NumPy's reader, so that nothing is unpickled or made early.

Only plain arrays of numbers, C order, are taken, and none is made before its shape is known to fit the bytes there are.
"""

import io
import math
import re
import zipfile
from collections.abc import Mapping

import numpy as np

from isobudget.wording import quoted
from results import RecordError

_MOST_ARRAYS = 20_000
_MAGIC = re.compile(rb"\x93NUMPY([\x01\x02\x03])\x00", re.DOTALL)
# No two ways to read the same digits: else a long row of them would take forever to refuse.
_HEADER = re.compile(
    r"\{'descr': '([<|][biuf][1248])', 'fortran_order': False, 'shape': \(((?:\d{1,15}(?:, \d{1,15})*,?)?)\), \}\s*"
)
_LONGEST_HEADER = 1_000  # bytes
_SUFFIX = ".npy"
# What NumPy calls types that no hint of letter and digit rules out, such as `f1`.
_TYPES = frozenset(
    ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
)


def read(data: bytes, name: str, most_bytes: int) -> Mapping[str, np.ndarray]:
    """Returns the arrays of an `.npz` by name; they share memory with nothing and can be only read.

    Args:
      data: what the file holds.
      name: of the file, for sentences.
      most_bytes: of all arrays together.

    Raises:
      RecordError: it is damaged, too large, or holds anything else than arrays of numbers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check(entries, most_bytes)
            return {
                entry.filename.removesuffix(_SUFFIX): _array(archive.read(entry), entry.filename)
                for entry in entries
            }
    except RecordError as error:
        raise RecordError(f"{quoted(name)} {error}") from None
    except Exception as error:  # of damaged bytes zipfile and zlib raise a dozen kinds
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise RecordError(f"{quoted(name)} is damaged ({reason}).") from None


def _check(entries: list[zipfile.ZipInfo], most_bytes: int) -> None:
    names = [entry.filename for entry in entries]
    if len(names) > _MOST_ARRAYS or sum(entry.file_size for entry in entries) > most_bytes:
        raise RecordError(f"unpacks to more than {most_bytes:,} bytes.")
    if len(set(names)) != len(names):
        raise RecordError("holds an array twice.")
    for entry in entries:
        if not re.fullmatch(r"[\w.]{1,300}\.npy", entry.filename, re.ASCII):
            raise RecordError(f"holds {quoted(entry.filename)}, which is no array.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RecordError(f"holds {quoted(entry.filename)}, packed as no array is.")


def _array(data: bytes, name: str) -> np.ndarray:
    magic = _MAGIC.match(data)
    if not magic:
        raise RecordError(f"holds {quoted(name)}, which is no array.")
    width = 2 if magic[1] == b"\x01" else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    header = data[8 + width : start].decode("latin-1") if length <= _LONGEST_HEADER else ""
    matched = _HEADER.fullmatch(header)
    if not matched or matched[1] not in _TYPES:
        raise RecordError(f"holds {quoted(name)}, which is no plain array of numbers.")
    shape = tuple(int(each) for each in re.findall(r"\d+", matched[2]))
    kind = np.dtype(matched[1])
    if math.prod(shape) * kind.itemsize != len(data) - start:
        raise RecordError(f"holds {quoted(name)}, whose shape is not that of its bytes.")
    return np.frombuffer(data, kind, offset=start).reshape(shape)
