"""What is the same in every page: Vega as a script, and the figures' specifications.

Making them takes seconds and depends on the versions of Altair and vl-convert and on this package's own code alone, so
they are kept in the user's cache folder.
"""

import contextlib
import hashlib
import importlib.metadata
import json
from importlib import resources
from typing import Any

from isobudget.paths import cache_folder, some_home
from isobudget.wording import quoted
from results.records.files import write_atomically

_MAKERS = ("charts.py", "figures.py", "library.py")


def load() -> tuple[str, dict[str, Any]]:
    """Returns (a script that defines `vegaEmbed`, every figure's Vega specification by name)."""
    folder = cache_folder()
    if folder is None:
        return _make()
    path = folder / "isobudget" / f"page-{_key()}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept["script"], kept["specifications"]
    script, specifications = _make()
    with contextlib.suppress(OSError):  # a full disk, or no folder: it is made again next time
        content = {"script": script, "specifications": specifications}
        write_atomically(path, json.dumps(content, allow_nan=False))
    return script, specifications


def _make() -> tuple[str, dict[str, Any]]:
    # They take a second to import, which a page whose parts are kept does without.
    with some_home():
        import vl_convert

        from results.page import charts

    # The stub asks for a snippet, which the function does without.
    script = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    for ending in ("</script", "<!--"):
        if ending in script.lower():
            raise ValueError(
                f"The script of Vega has {quoted(ending)} in it and cannot stand in a page."
            )
    return script, charts.specifications()


def _key() -> str:
    """Returns a digest of all that the two depend on."""
    digest = hashlib.sha256()
    for package in ("altair", "vl-convert-python"):
        digest.update(importlib.metadata.version(package).encode())
    for name in _MAKERS:
        digest.update(resources.files("results.page").joinpath(name).read_bytes())
    return digest.hexdigest()[:16]
