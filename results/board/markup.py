"""Markup that no text can break out of: what is not made here is escaped where it is put in."""

import html
from typing import Any


class Markup(str):
    """HTML that was made by `element`; any other text is escaped."""

    __slots__ = ()


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """Returns an element.

    Args:
      tag: its name.
      children: `Markup`, or anything else as text; None is left out, and lists are taken apart.
      attributes: by name; `class_` for `class`, `aria_label` for `aria-label`, and None leaves one out.
    """
    given = {
        name.rstrip("_").replace("_", "-"): value
        for name, value in attributes.items()
        if value is not None
    }
    head = "".join(f' {name}="{html.escape(str(value))}"' for name, value in given.items())
    return Markup(f"<{tag}{head}>{joined(*children)}</{tag}>")


def joined(*children: Any) -> Markup:
    """Returns markup and text one after another, see `element`."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, list | tuple):
            parts.append(joined(*child))
        elif child is not None:
            parts.append(child if isinstance(child, Markup) else html.escape(str(child)))
    return Markup("".join(parts))
