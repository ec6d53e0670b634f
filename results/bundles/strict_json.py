"""JSON from strangers: refused where it holds what a record, a terminal or a page should never see."""

import json
import math
import re
from typing import Any

from isobudget.wording import quoted
from results import RecordError

_DEEPEST = 60  # levels of lists and mappings inside one another
# Of text that may hold something to refuse: a tag, a control character or an escape of one, or a number beyond floats.
_SUSPICIOUS = re.compile(
    r"[<\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\\u|[eE]\+?\d\d\d|\d{300}"
)
_TAG = re.compile(r"<\s*[A-Za-z/!?]")
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def text_of(data: bytes, name: str) -> str:
    """Returns the text of a file.

    Raises:
      RecordError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise RecordError(f"{quoted(name)} is not text in UTF-8.") from None


def parse(text: str, name: str) -> Any:
    """Returns the value of JSON text, checked to be plain.

    Args:
      text: what is to be read.
      name: of its file, for sentences.

    Raises:
      RecordError: it is not JSON, has a key twice, is nested deeply, or holds bare NaN or infinity, a number that no
        float holds, a control character or HTML; one sentence names the file, and where it can the culprit.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats
        )
        _check_depth(value)
        if _SUSPICIOUS.search(text):
            _check(value)
    except RecordError as error:
        raise RecordError(f"{quoted(name)} {error}") from None
    except RecursionError:
        raise RecordError(f"{quoted(name)} is nested too deeply.") from None
    except ValueError as error:
        reason = " ".join(str(error).split())[:120]
        raise RecordError(f"{quoted(name)} is not JSON, or only half of it ({reason}).") from None
    return value


def parse_lines(text: str, name: str) -> list[dict[str, Any]]:
    """Returns the mappings of a file of JSON lines; half a line at the end, of a run that was killed, is left out.

    Raises:
      RecordError: as `parse`, or a line is no mapping of plain values.
    """
    lines: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        value = parse(line, f"{name}, line {number}")
        if not isinstance(value, dict) or any(isinstance(v, list | dict) for v in value.values()):
            raise RecordError(f"{quoted(name)}, line {number}, is no mapping of plain values.")
        lines.append(value)
    return lines


def check_text(text: str) -> None:
    """Refuses text that a terminal or a page would not show as it is.

    Raises:
      RecordError: it holds a control character or HTML; the sentence is without its subject.
    """
    if _UNPRINTABLE.search(text):
        raise RecordError(f"holds a control character, in {quoted(text)}.")
    if _TAG.search(text):
        raise RecordError(f"holds HTML, in {quoted(text)}.")


def _check(value: Any) -> None:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            check_text(each)
        elif isinstance(each, float) and not math.isfinite(each):
            raise RecordError("holds a number that is too large.")
        elif isinstance(each, dict):
            waiting += each.keys()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += [one for one in each.values() if isinstance(one, dict | list)]
            elif isinstance(each, list):
                inner += [one for one in each if isinstance(one, dict | list)]
        if not inner:
            return
        level = inner
    raise RecordError("is nested too deeply.")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RecordError(f"has the key {quoted(twice)} twice.")
    return mapping


def _refuse_constant(name: str) -> None:
    raise RecordError(f"has the bare word {name}, which is not JSON.")
