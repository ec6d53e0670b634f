"""Files in a zip archive, read without unpacking it."""

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from input_pipeline.errors import DataError
from input_pipeline.names import printable

_LOCAL_HEADER = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 1  # the bit of a member's flags
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Member(NamedTuple):
    """Where a file lies in an archive.

    Attributes:
      name: its name in the archive.
      offset: where its local header begins, in bytes.
      stored_bytes: how many bytes it has in the archive.
      num_bytes: how many it has when it is unpacked.
      method: how it is compressed, as `zipfile` numbers it.
      checksum: the CRC-32 of its content.
    """

    name: str
    offset: int
    stored_bytes: int
    num_bytes: int
    method: int
    checksum: int


def members(path: Path) -> dict[str, Member]:
    """Returns the files of an archive by name, without folders.

    Raises:
      DataError: it cannot be read, is not a whole zip archive, or a file is encrypted or compressed in a rare way.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
        archive_bytes = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"'{printable(path)}' cannot be read ({error.strerror or error})"
        ) from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(
            f"'{printable(path)}' is not a whole zip archive ({error}); download it again"
        ) from error
    for info in infos:
        if not 0 <= info.header_offset <= archive_bytes - info.compress_size:
            raise DataError(
                f"'{printable(path)}' is not a whole zip archive ('{printable(info.filename)}' is not in it);"
                " download it again"
            )
        if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
            raise DataError(
                f"'{printable(info.filename)}' in '{printable(path)}' is encrypted, or compressed by another"
                " method than deflate; unpack the archive and name the folder"
            )
    return {
        info.filename: Member(
            info.filename,
            info.header_offset,
            info.compress_size,
            info.file_size,
            info.compress_type,
            info.CRC,
        )
        for info in infos
    }


def read(path: Path, member: Member) -> bytes:
    """Returns the content of a file in an archive.

    It opens the archive anew and keeps nothing, so any number of threads and processes may read at once.

    Raises:
      DataError: the archive cannot be read, or this file in it is damaged.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            header = os.pread(file.fileno(), _LOCAL_HEADER_BYTES, member.offset)
            # The local header's name and extra field may be longer than those in the directory at the end.
            name_bytes = int.from_bytes(header[26:28], "little")
            extra_bytes = int.from_bytes(header[28:30], "little")
            begins = member.offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes
            stored = os.pread(file.fileno(), member.stored_bytes, begins)
    except OSError as error:
        raise DataError(
            f"'{printable(path)}' cannot be read ({error.strerror or error})"
        ) from error
    content = _unpacked(stored, member)
    if not header.startswith(_LOCAL_HEADER) or zlib.crc32(content) != member.checksum:
        raise DataError(
            f"{describe(path, member)} is damaged in the archive; download the archive again"
        )
    return content


def _unpacked(stored: bytes, member: Member) -> bytes:
    """Returns the content of a member, as far as it can be unpacked and never more than it says that it has."""
    if member.method == zipfile.ZIP_STORED:
        return stored
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, member.num_bytes + 1)
    except zlib.error:
        return b""


def describe(path: Path, member: Member) -> str:
    """Returns where a user finds a file: the archive's path and the file's name in it."""
    return printable(path / member.name)


class ZipSource:
    """Pictures in an archive: `{"image": encoded bytes, "label": number of the class}` by position."""

    def __init__(self, path: Path, files: Sequence[tuple[Member, int]]):
        self._path = path
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        member, label = self._files[index]
        return {"image": read(self._path, member), "label": label}

    def describe(self, index: int) -> str:
        return describe(self._path, self._files[index][0])
