"""Boards: bundles that anybody submits and an audit lets in, as static pages that say what was checked.

A board is a folder, with its rules and a folder for each bundle (`layout`). `accepting` puts bundles there, `entries`
reads them, `standings` ranks them, and `site` writes the pages: a function of the folder, whatever order it was filled
in, so that two boards are merged by copying one's bundles to the other.
"""

from results.board.accepting import accept, create
from results.board.entries import Board, load
from results.board.site import write

__all__ = ["Board", "accept", "create", "load", "write"]
