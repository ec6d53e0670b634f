"""Where the names stand in a scatter plot, so that none covers another, a point, or the edge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Widths of characters in a sans-serif face as fractions of the font size, on the wide side.
_NARROW, _WIDE = "iljtfrI.,:;'|!()[] ", "mwMW@%"
_RADIUS = 5.0  # of a point's mark, pixels
_LONGEST = 28  # characters


@dataclass(frozen=True)
class Place:
    """A label's offset from its point, pixels (y down), and which end of the text stands there."""

    dx: float
    dy: float
    align: str


def shortened(text: str) -> str:
    """Returns a name that fits a chart, without its middle if it is long: variants of a model differ at the end."""
    if len(text) <= _LONGEST:
        return text
    begin = (_LONGEST - 1) // 2
    return f"{text[:begin]}…{text[len(text) - (_LONGEST - 1 - begin) :]}"


def text_width(text: str, font_size: float) -> float:
    """Returns about how wide the text is drawn, pixels."""
    ems = (0.32 if c in _NARROW else 0.9 if c in _WIDE else 0.58 for c in text)
    return font_size * sum(ems)


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    order: Sequence[int],
    size: tuple[float, float],
    font_size: float,
    soft: Sequence[tuple[float, float, float, float]] = (),
) -> dict[int, Place]:
    """Returns the places of labels by index of their point; one that fits nowhere has none.

    Args:
      points: (x, y) in pixels, y down.
      texts: the label of each.
      order: the points to label, the most important first.
      size: width and height of the plot, pixels.
      font_size: pixels.
      soft: boxes (left, top, right, bottom) that labels should avoid but may cover: error bars.
    """
    marks = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in points]
    taken = np.array(marks, float).reshape(-1, 4)
    avoided = np.array(soft, float).reshape(-1, 4)
    places = {}
    for i in order:
        best = None
        for preference, candidate in enumerate(_candidates(font_size)):
            box = _box(points[i], candidate, text_width(texts[i], font_size), font_size)
            if not _inside(box, size) or _overlaps(box, taken):
                continue
            cost = _overlaps(box, avoided) + preference / 4
            if best is None or cost < best[0]:
                best = cost, candidate, box
        if best:
            places[i] = best[1]
            taken = np.vstack([taken, best[2]])
    return places


def _candidates(font_size: float) -> list[Place]:
    """Beside the point, above, below and at the corners; then the same a line further away."""
    result = []
    for far in (0.0, font_size):
        side, above = _RADIUS + 3, _RADIUS + font_size / 2 + 2 + far
        if not far:
            result += [Place(side, 0, "left"), Place(-side, 0, "right")]
        result += [
            Place(0, -above, "center"),
            Place(0, above, "center"),
            Place(side - 3, -above + 3, "left"),
            Place(side - 3, above - 3, "left"),
            Place(-side + 3, -above + 3, "right"),
            Place(-side + 3, above - 3, "right"),
        ]
    return result


def _box(
    point: tuple[float, float], candidate: Place, width: float, font_size: float
) -> np.ndarray:
    x, y = point[0] + candidate.dx, point[1] + candidate.dy
    left = {"left": x, "right": x - width, "center": x - width / 2}[candidate.align]
    return np.array([left, y - font_size / 2, left + width, y + font_size / 2])


def _inside(box: np.ndarray, size: tuple[float, float]) -> bool:
    return box[0] >= 2 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]


def _overlaps(box: np.ndarray, others: np.ndarray) -> int:
    apart = (
        (others[:, 2] <= box[0])
        | (others[:, 0] >= box[2])
        | (others[:, 3] <= box[1])
        | (others[:, 1] >= box[3])
    )
    return int(np.count_nonzero(~apart))
