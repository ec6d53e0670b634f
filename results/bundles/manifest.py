"""The manifest of a bundle: the SHA-256 and the size of every other file."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isobudget.wording import quoted, shown
from results import RecordError
from results.bundles import contents, strict_json

VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class File:
    """What a manifest says of a file: its SHA-256 in hex, and its size."""

    sha256: str
    bytes: int


Manifest = Mapping[str, File]


def to_json(manifest: Manifest) -> str:
    """Returns the manifest as JSON text, the files sorted by name."""
    files = {
        name: {"sha256": manifest[name].sha256, "bytes": manifest[name].bytes}
        for name in sorted(manifest)
    }
    return json.dumps({"bundle_version": VERSION, "files": files}, indent=1) + "\n"


def from_json(data: bytes) -> Manifest:
    """Returns the manifest in what its file holds.

    Raises:
      RecordError: it is damaged, or of a newer version of bundles.
    """
    content = strict_json.parse(strict_json.text_of(data, contents.MANIFEST), contents.MANIFEST)
    version = content.get("bundle_version") if isinstance(content, dict) else None
    if type(version) is int and version > VERSION:
        raise RecordError(
            f"it is a bundle of version {shown(version)}, and this version of the suite reads up to {VERSION}."
        )
    files = content.get("files") if isinstance(content, dict) else None
    if version != VERSION or not isinstance(files, dict):
        raise RecordError(f"its {contents.MANIFEST} is not that of a bundle.")
    return {name: _file(name, value) for name, value in files.items()}


def _file(name: str, value: Any) -> File:
    digest = value.get("sha256") if isinstance(value, dict) else None
    size = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest) or type(size) is not int:
        raise RecordError(
            f"its {contents.MANIFEST} does not say the SHA-256 and size of {quoted(name)}."
        )
    return File(digest, size)
