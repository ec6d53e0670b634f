"""Writing a bundle: the same files give the same bytes, whoever packs them and when."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from isobudget.wording import quoted, quoted_path
from results import RecordError
from results.bundles import anonymous, contents, manifest, runs, strict_json
from results.bundles.sources import Folder
from results.records import evaluations, folders, layout
from results.records.codec import encode
from results.records.files import write_atomically
from results.records.schema import RunRecord

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can say
_MODE = 0o100644
_UNIX = 3

# From a run's folder and its record to the bytes of its weights, as `contents.WEIGHTS` has them.
WeightsOf = Callable[[Path, RunRecord], bytes]


def write(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    weights_of: WeightsOf | None = None,
) -> Mapping[str, manifest.File]:
    """Writes a bundle of runs, whole or not at all, and returns its manifest.

    Args:
      paths: folders of runs, or of one run.
      out: the file to write.
      weights_of: packs the weights of a run; None to leave them out.

    Raises:
      RecordError: a run is damaged, there are two of the same name, or there are none; one sentence says which.
      OSError: it cannot be written.
    """
    packed: dict[str, bytes] = {}
    for path in paths:
        for name, data in _files_of(Path(path), weights_of):
            if name in packed:
                raise RecordError(
                    f"there are two runs {quoted(contents.place_of(name).run_id)}: put them in two bundles."
                )
            packed[name] = data
    listed = {
        name: manifest.File(hashlib.sha256(data).hexdigest(), len(data))
        for name, data in packed.items()
    }
    write_atomically(out, zipped({contents.MANIFEST: manifest.to_json(listed).encode()} | packed))
    return listed


def _files_of(path: Path, weights_of: WeightsOf | None) -> Iterator[tuple[str, bytes]]:
    """Yields the name and content of each file of the runs in a folder."""
    if not path.is_dir():
        raise RecordError(f"there is no folder of a run {quoted_path(path)}.")
    source = Folder(path)
    try:
        ids = runs.run_ids(source)
    except RecordError:
        raise RecordError(f"there is no finished run in {quoted_path(path)}.") from None
    for run_id in ids:
        folder = path / layout.RUNS / run_id
        if not folder.is_dir():
            folder = path
        try:
            yield from _files_of_run(source, run_id, folder, weights_of)
        except RecordError as error:
            raise RecordError(f"{quoted_path(folder)}: {error}") from None


def _files_of_run(
    source: Folder, run_id: str, folder: Path, weights_of: WeightsOf | None
) -> Iterator[tuple[str, bytes]]:
    data: dict[str, bytes] = {}
    run = runs.read_run(_Lenient(source), run_id, data.__setitem__)
    record = anonymous.run_record(run.record)
    own = record.run_id
    contents.check_name(contents.name_of(own, layout.RECORD))
    for name, held in data.items():
        path = contents.place_of(name).path
        if path == layout.RECORD:
            held = folders.to_json(record).encode()
        elif path.startswith(layout.EVALUATIONS) and path.endswith(".json"):
            evaluation = anonymous.evaluation_record(evaluations.from_json(held.decode()))
            held = (json.dumps(encode(evaluation), indent=2, allow_nan=False) + "\n").encode()
        elif path in (layout.METRICS, layout.PROGRESS):
            held = held[: held.rfind(b"\n") + 1]
        yield contents.name_of(own, path), held
    if weights_of is not None:
        yield contents.name_of(own, contents.WEIGHTS), weights_of(folder, record)


class _Lenient:
    """The files of a run, its records without what `anonymous` removes, such as a tag in the sentence of an error."""

    is_bundle = False

    def __init__(self, source: Folder):
        self._source, self.path = source, source.path

    def names(self) -> tuple[str, ...]:
        return self._source.names()

    def read(self, name: str) -> bytes:
        data = self._source.read(name)
        path = contents.place_of(name).path
        try:
            if path == layout.RECORD:
                record = folders.from_json(strict_json.text_of(data, name))
                return folders.to_json(anonymous.run_record(record)).encode()
        except RecordError as error:
            raise RecordError(f"{quoted(path)}: {error}") from None
        return data

    def digest(self, name: str) -> tuple[str, int]:
        return self._source.digest(name)

    def close(self) -> None:
        self._source.close()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Returns a zip archive of the files, sorted by name."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, _MODE << 16
            # Arrays are packed already.
            entry.compress_type = (
                zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            )
            archive.writestr(entry, files[name], compresslevel=9)
    return held.getvalue()
