"""The first page of a board: one HTML file of the same parts as the leaderboard's page, which fetches nothing."""

import html
from typing import Any

from results.page import charts, library
from results.page.document import asset, fill, json_block, policy

_PACKAGE = "results.board"


def to_html(contents: dict[str, Any]) -> str:
    """Returns the page of `contents`, see `results.board.contents.collect`."""
    vega, _ = library.load()
    shared = (asset(name) for name in ("text.js", "table.js", "charts.js"))
    scripts = [vega, "\n".join([*shared, asset("board.js", _PACKAGE)])]
    parts = {
        "policy": policy(scripts),
        "title": html.escape(contents["title"]),
        "style": style(),
        "data": json_block(contents),
        "specifications": json_block({"record": charts.record()}),
        "vega": scripts[0],
        "script": scripts[1],
    }
    return fill(asset("board.html", _PACKAGE), parts)


def style() -> str:
    """Returns the style of all pages of a board."""
    return f"{asset('page.css')}\n{asset('board.css', _PACKAGE)}"
