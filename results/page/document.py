"""The page as one HTML file: style, data, and scripts inside it, and nothing fetched.

`results.board` makes its pages from the same parts: `fill`, `policy`, `json_block` and `asset`.
"""

import base64
import functools
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
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
    """Returns the page of `contents` (see `results.page.contents.collect`), with what `library.load` gives."""
    scripts = [vega, "\n".join(asset(name) for name in _SCRIPTS)]
    parts = {
        "policy": policy(scripts),
        "title": html.escape(_title(contents)),
        "style": "\n".join(asset(name) for name in _STYLES),
        "data": json_block(contents),
        "specifications": json_block(specifications),
        "vega": scripts[0],
        "script": scripts[1],
    }
    return fill(asset("page.html"), parts)


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Returns the template with each `{{name}}` replaced by that part, which is put in as it is."""
    head, *rest = template.split("{{")
    text = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        text += [parts[name], after]
    return "".join(text)


def policy(scripts: Sequence[str]) -> str:
    """Returns a content security policy that lets the browser run these scripts, by their digests, and load nothing.

    Neither a mistake here nor a name in a record can fetch or run anything.
    """
    # Vega compiles its expressions, which are those of the specifications alone, at run time.
    return (
        f"default-src 'none'; script-src 'unsafe-eval' {' '.join(map(_digest, scripts))}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _title(contents: dict[str, Any]) -> str:
    titles = [ranking["title"] for ranking in contents["rankings"]]
    return titles[0] if len(titles) == 1 else f"Leaderboard, {len(titles)} rankings"


def json_block(value: Any) -> str:
    """Returns JSON that no text inside can end the script element of, nor begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@functools.cache
def asset(name: str, package: str = "results.page") -> str:
    """Returns the text of a file under the `assets` of a package."""
    return resources.files(package).joinpath("assets", name).read_text(encoding="utf-8")
