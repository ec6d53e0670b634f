"""Where everything of a board lies.

board.toml                      its rules
bundles/<SHA-256>/bundle.zip    a bundle that was accepted, by its digest in hex
bundles/<SHA-256>/audit.json    what the audit said of it
bundles/<SHA-256>/accepted.json who submitted it, and when it was accepted
site/                           the pages
"""

import re
from collections.abc import Iterator
from pathlib import Path

RULES = "board.toml"
BUNDLES = "bundles"
BUNDLE = "bundle.zip"
AUDIT = "audit.json"
ACCEPTED = "accepted.json"
SITE = "site"
WORKFLOW = Path(".github", "workflows", "board.yml")

_DIGEST = re.compile(r"[0-9a-f]{64}")


def folder_of(board: Path, digest: str) -> Path:
    """Returns the folder of a bundle."""
    return board / BUNDLES / digest


def folders(board: Path) -> Iterator[Path]:
    """Yields the folders of all bundles, by their digests; anything else that lies there is passed over."""
    held = board / BUNDLES
    for path in sorted(held.iterdir()) if held.is_dir() else ():
        if _DIGEST.fullmatch(path.name) and path.is_dir():
            yield path
