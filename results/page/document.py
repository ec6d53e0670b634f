"""The page as one HTML file: style, data, and scripts inside it, and nothing fetched."""

import base64
import functools
import hashlib
import html
import json
from importlib import resources
from typing import Any

_STYLES = ("page.css", "confusions.css")
_SCRIPTS = (
    "text.js",
    "table.js",
    "charts.js",
    "ranking.js",
    "row.js",
    "confusions.js",
    "run.js",
    "page.js",
)


def to_html(contents: dict[str, Any], vega: str, specifications: dict[str, Any]) -> str:
    """Returns the page of `contents` (see `results.page.contents.collect`), with what `library.load` gives.

    A content security policy lets the browser run the page's own scripts, by their digests, and
    load nothing: neither a mistake here nor a name in a record can fetch or run anything.
    """
    scripts = [vega, "\n".join(_asset(name) for name in _SCRIPTS)]
    # Vega compiles its expressions, which are those of the specifications alone, at run time.
    policy = (
        f"default-src 'none'; script-src 'unsafe-eval' {' '.join(map(_digest, scripts))}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(_title(contents)),
        "style": "\n".join(_asset(name) for name in _STYLES),
        "data": _json(contents),
        "specifications": _json(specifications),
        "vega": scripts[0],
        "script": scripts[1],
    }
    head, *rest = _asset("page.html").split("{{")
    text = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        text += [parts[name], after]
    return "".join(text)


def _title(contents: dict[str, Any]) -> str:
    titles = [ranking["title"] for ranking in contents["rankings"]]
    return titles[0] if len(titles) == 1 else f"Leaderboard, {len(titles)} rankings"


def _json(value: Any) -> str:
    """Returns JSON that no text inside can end the script element of, nor begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@functools.cache
def _asset(name: str) -> str:
    return resources.files("results.page").joinpath("assets", name).read_text(encoding="utf-8")
