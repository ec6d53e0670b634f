"""Where the files of a submission are read from: a bundle, which is a zip archive, or a folder.

Neither is trusted. Nothing is unpacked to the disk, no link is followed, and no more is read than a file of its kind
may have, whatever the archive says of its size.
"""

import contextlib
import hashlib
import os
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol

from isobudget.wording import quoted, quoted_path
from results import RecordError
from results.bundles import contents
from results.records import layout

_CHUNK = 1 << 20
# JSON and arrays of predictions are packed to a tenth, and to a hundredth where they are almost all alike.
_MOST_RATIO, _SMALL = 200, 1 << 20
# The end of an archive's list of contents: signature, disks, entries, size and place of the list, length of a comment.
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_LONGEST_COMMENT = 1 << 16
_MOST_DIRECTORY_BYTES = 32 << 20
_ENCRYPTED = 0x1


class Source(Protocol):
    """The files of a submission, by the names that `results.bundles.contents` gives them.

    Attributes:
      path: of the bundle or the folder.
      is_bundle: whether it is a bundle, whose manifest names its files.
    """

    path: Path
    is_bundle: bool

    def names(self) -> tuple[str, ...]:
        """Returns the names of all files, sorted, the manifest's among them."""
        ...

    def read(self, name: str) -> bytes:
        """Returns what a file holds.

        Raises:
          RecordError: it is damaged or too large, in one sentence.
        """
        ...

    def digest(self, name: str) -> tuple[str, int]:
        """Returns the SHA-256 (hex) of a file and its size in bytes; raises as `read`."""
        ...

    def close(self) -> None:
        """Closes what is open."""
        ...


def discover(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Returns the bundles and folders of runs that are named, and the bundles that lie in a folder of bundles.

    Raises:
      RecordError: there is nothing of the kind at one of the paths.
    """
    submissions = []
    for path in map(Path, paths):
        if path.is_dir() and not _holds_runs(path):
            bundles = sorted(path.glob("*.zip"))
            if not bundles:
                raise RecordError(f"there is no run and no bundle in {quoted_path(path)}.")
            submissions += bundles
        elif path.exists():
            submissions.append(path)
        else:
            raise RecordError(f"there is no bundle or folder {quoted_path(path)}.")
    return submissions


def _holds_runs(folder: Path) -> bool:
    names = (layout.RECORD, layout.RUNS, contents.MANIFEST)
    return any((folder / each).exists() for each in names)


@contextlib.contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Gives the files of a bundle or a folder.

    Raises:
      RecordError: it is neither, or it is damaged, or holds what no bundle holds; one sentence names what.
    """
    source: Source = Folder(Path(path)) if Path(path).is_dir() else Archive(Path(path))
    with contextlib.closing(source):
        yield source


class Archive:
    """A bundle."""

    is_bundle = True

    def __init__(self, path: Path):
        self.path = path
        with contextlib.ExitStack() as opened:
            try:
                file = opened.enter_context(regular_file(path))
                _check_directory(file)
                self._zip = opened.enter_context(zipfile.ZipFile(file))
            except OSError as error:
                raise RecordError(f"it cannot be read ({error.strerror or error}).") from None
            except RecordError:
                raise
            except Exception as error:  # of damaged bytes zipfile raises a dozen kinds
                raise RecordError(f"it is no sound zip archive ({_reason(error)}).") from None
            self._entries = _checked(self._zip.infolist())
            self._opened = opened.pop_all()

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._entries))

    def read(self, name: str) -> bytes:
        return b"".join(self._chunks(name))

    def digest(self, name: str) -> tuple[str, int]:
        return _digest(self._chunks(name))

    def close(self) -> None:
        self._opened.close()

    def _chunks(self, name: str) -> Iterator[bytes]:
        entry = self._entries[name]
        size = 0
        try:
            with self._zip.open(entry) as file:
                while chunk := file.read(_CHUNK):
                    size += len(chunk)
                    yield chunk
        except Exception as error:  # zlib, zipfile and struct each have their own
            raise RecordError(f"{quoted(name)} is damaged ({_reason(error)}).") from None
        if size != entry.file_size:
            raise RecordError(f"{quoted(name)} is damaged: it does not have the size that it says.")


class Folder:
    """A folder of runs, a run's folder, or a bundle that somebody has unpacked."""

    def __init__(self, path: Path):
        self.path = path
        self.is_bundle = (path / contents.MANIFEST).is_file()
        self._files = dict(sorted(self._find()))

    def names(self) -> tuple[str, ...]:
        return tuple(self._files)

    def read(self, name: str) -> bytes:
        return b"".join(self._chunks(name))

    def digest(self, name: str) -> tuple[str, int]:
        return _digest(self._chunks(name))

    def close(self) -> None:
        pass

    def _find(self) -> Iterator[tuple[str, Path]]:
        """Yields the files that belong to runs; a link is not followed, and anything else there is passed over."""
        if self.is_bundle:
            yield contents.MANIFEST, self.path / contents.MANIFEST
        if (self.path / layout.RECORD).exists():
            yield from _files_of_run(self.path, self.path.resolve().name)
        runs = self.path / layout.RUNS
        if runs.is_dir() and not runs.is_symlink():
            for folder in sorted(runs.iterdir()):
                if folder.is_dir() and not folder.is_symlink():
                    yield from _files_of_run(folder, folder.name)

    def _chunks(self, name: str) -> Iterator[bytes]:
        most = (
            contents.MOST_MANIFEST_BYTES
            if name == contents.MANIFEST
            else contents.place_of(name).most_bytes
        )
        try:
            with regular_file(self._files[name]) as file:
                if os.fstat(file.fileno()).st_size > most:
                    raise RecordError(f"{quoted(name)} has more than {most:,} bytes.")
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise RecordError(f"{quoted(name)} cannot be read ({error.strerror}).") from None


def _files_of_run(folder: Path, run_id: str) -> Iterator[tuple[str, Path]]:
    below = (
        layout.metrics_in(folder),
        layout.progress_in(folder),
        layout.class_names_in(folder),
        layout.predictions_in(folder, "test"),
        layout.predictions_in(folder, "validation"),
        folder / contents.WEIGHTS,
        *sorted(layout.evaluations_in(folder).glob("*.json")),
        *sorted(layout.evaluations_in(folder).glob("*.npz")),
    )
    if not _is_own_file(layout.path_in(folder), folder):
        return  # a run that is under way, or whose record is elsewhere
    for path in (layout.path_in(folder), *below):
        if _is_own_file(path, folder):
            name = contents.name_of(run_id, path.relative_to(folder).as_posix())
            contents.check_name(name)
            yield name, path


def _is_own_file(path: Path, folder: Path) -> bool:
    """Returns whether there is a file that no link below the run's folder leads to."""
    between = [each for each in path.parents if folder in each.parents]
    if any(each.is_symlink() for each in between):
        return False
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def regular_file(path: Path) -> Iterator[IO[bytes]]:
    """Gives a file for reading, and no pipe or device, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RecordError("it is no file.")
        yield file


def _check_directory(file: IO[bytes]) -> None:
    """Refuses an archive whose list of contents would fill the memory, before it is read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    tail = file.read()
    place = tail.rfind(_END_SIGNATURE)
    if place < 0 or len(tail) - place < _END.size:
        raise RecordError("it is no zip archive, or only half of one.")
    _, _, _, _, entries, directory, _, _ = _END.unpack_from(tail, place)
    if directory > _MOST_DIRECTORY_BYTES or entries > contents.MOST_FILES:
        raise RecordError(f"it lists more than the {contents.MOST_FILES:,} files of a bundle.")


def _checked(entries: Iterable[zipfile.ZipInfo]) -> Mapping[str, zipfile.ZipInfo]:
    """Returns the entries of an archive by name.

    Raises:
      RecordError: one of them is no file of a bundle, is there twice, or is too large.
    """
    by_name: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    total = 0
    for entry in entries:
        name = entry.orig_filename
        contents.check_name(name)
        if name in by_name or name.casefold() in folded:
            raise RecordError(f"it holds {quoted(name)} twice.")
        most = _check_entry(entry, name)
        if most < contents.MOST_WEIGHT_BYTES:
            total += entry.file_size
        if total > contents.MOST_BYTES:
            raise RecordError(f"its files have more than {contents.MOST_BYTES:,} bytes together.")
        by_name[name] = entry
        folded.add(name.casefold())
    if contents.MANIFEST not in by_name:
        raise RecordError(f"it has no {contents.MANIFEST}, which every bundle has.")
    return by_name


def _check_entry(entry: zipfile.ZipInfo, name: str) -> int:
    """Returns the most bytes that an entry may have, after checking it.

    Raises:
      RecordError: it is no plain file of the kind that its name says.
    """
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "a link" if kind == stat.S_IFLNK else "no plain file"
        raise RecordError(f"{quoted(name)} is {what}, and a bundle holds files alone.")
    if entry.flag_bits & _ENCRYPTED:
        raise RecordError(f"{quoted(name)} is encrypted.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RecordError(f"{quoted(name)} is packed in a way that bundles are not.")
    most = contents.MOST_MANIFEST_BYTES
    if name != contents.MANIFEST:
        most = contents.place_of(name).most_bytes
    if entry.file_size > most:
        raise RecordError(f"{quoted(name)} has more than {most:,} bytes.")
    if entry.file_size > max(_SMALL, _MOST_RATIO * entry.compress_size):
        raise RecordError(
            f"{quoted(name)} would unpack to more than {_MOST_RATIO} times its size: it is a bomb."
        )
    return most


def _digest(chunks: Iterable[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
