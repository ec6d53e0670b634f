"""What changed between two leaderboards, each a document as `results.tables.document` makes it."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from results.rankings.statistics import Estimate, estimate, paired_difference, welch_difference
from results.records import settings

Key = tuple[str, int]

# The columns whose changes are told as ratios; of the last ones, only where the devices are the same.
COUNTS = ("parameters", "macs", "weight_bytes")
SPEEDS = (
    "train_images_per_second",
    "infer_images_per_second",
    "infer_latency_p50_ms",
    "peak_memory_bytes",
    "train_seconds",
)


@dataclass(frozen=True)
class Change:
    """What changed for a model that both rankings have.

    Attributes:
      ranks: in the first and in the second; None without one.
      scores: of the primary metric, likewise.
      difference: second less first; None where either has no score.
      method: `paired` where both have the same seeds, `Welch` where they have not, and `one seed`
        where either has no more.
      ratios: of other columns, second over first, where both have them.
    """

    model: str
    image_size: int
    ranks: tuple[int | None, int | None]
    scores: tuple[Estimate | None, Estimate | None]
    difference: Estimate | None
    method: str
    ratios: Mapping[str, float]

    @property
    def verdict(self) -> str:
        """`better` or `worse`, where the interval excludes 0; else `no difference shown`, or why there is none."""
        if self.difference is None:
            return "not in both"
        if self.difference.interval is None:
            return "one seed" if self.difference.count == 1 else "equal on all seeds, no interval"
        low, high = self.difference.interval
        if low <= 0 <= high:
            return "no difference shown"
        return "better" if self.difference.mean > 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """Two rankings side by side.

    Attributes:
      titles: of the first and of the second.
      primary_metric: of both.
      warnings: what is not the same of the two, a sentence each.
      changes: of the models that both have, in the order of the second.
      only: the models that only the first has, and only the second.
    """

    titles: tuple[str, str]
    primary_metric: str
    warnings: tuple[str, ...]
    changes: tuple[Change, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[list[Comparison], list[str]]:
    """Returns each ranking of the first beside the one of the second that it matches best, and the rest's titles.

    Rankings of two tasks are never compared; others are, with a warning for each thing that differs.
    """
    pairs = sorted(
        (
            len(_differing(a["group"], b["group"])),
            len(_settings_that_differ(a["group"], b["group"])),
            i,
            j,
        )
        for i, a in enumerate(first["rankings"])
        for j, b in enumerate(second["rankings"])
        if a["group"]["task"] == b["group"]["task"]
    )
    used: tuple[set[int], set[int]] = (set(), set())
    matched = []
    for *_, i, j in pairs:
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            matched.append((i, j))
    alone = [
        f"Only in {name}: {ranking['title']}"
        for name, document, taken in (("A", first, used[0]), ("B", second, used[1]))
        for i, ranking in enumerate(document["rankings"])
        if i not in taken
    ]
    return [_beside(first["rankings"][i], second["rankings"][j]) for i, j in sorted(matched)], alone


def _beside(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    rows = [
        {(row["model"], row["image_size"]): row for row in each["rows"]} for each in (first, second)
    ]
    devices = [_devices(each) for each in rows]
    warnings = [
        f"The {name.replace('_', ' ')} differs: {_shown(a)} in A, {_shown(b)} in B."
        for name, a, b in _differing(first["group"], second["group"])
    ]
    warnings += [
        f"{name} is a leaderboard of an earlier version, which does not say what else its runs were set to."
        for name, each in (("A", first), ("B", second))
        if "settings" not in each["group"]
    ]
    warnings += _settings_that_differ(first["group"], second["group"])
    both = [key for key in rows[1] if key in rows[0]]
    for key in both:
        differing = _settings_that_differ(rows[0][key], rows[1][key], "model_settings")
        warnings += [f"{_label(key)}: {sentence}" for sentence in differing]
    if devices[0] != devices[1]:
        warnings.append(
            f"The devices differ: {devices[0] or 'unknown'} in A, {devices[1] or 'unknown'} in B; "
            "speeds and memory are not compared."
        )
    ratios = COUNTS if devices[0] != devices[1] else COUNTS + SPEEDS
    return Comparison(
        titles=(first["title"], second["title"]),
        primary_metric=second["primary_metric"],
        warnings=tuple(warnings),
        changes=tuple(_change(key, rows[0][key], rows[1][key], ratios) for key in both),
        only=(_only(rows[0], rows[1]), _only(rows[1], rows[0])),
    )


def _only(mine: Iterable[Key], others: Collection[Key]) -> tuple[str, ...]:
    return tuple(_label(key) for key in mine if key not in others)


def _change(
    key: Key, first: Mapping[str, Any], second: Mapping[str, Any], ratios: Sequence[str]
) -> Change:
    before, after = _scores(first), _scores(second)
    difference, method = _difference(before, after)
    values = {name: (_mean(first.get(name)), _mean(second.get(name))) for name in ratios}
    return Change(
        *key,
        ranks=(first["rank"], second["rank"]),
        scores=(_mean_score(before), _mean_score(after)),
        difference=difference,
        method=method,
        ratios={name: new / old for name, (old, new) in values.items() if old and new},
    )


def _scores(row: Mapping[str, Any]) -> dict[int, float]:
    return {int(seed): score for seed, score in row["scores"].items()}


def _mean_score(scores: Mapping[int, float]) -> Estimate | None:
    return estimate(list(scores.values())) if scores else None


def _difference(
    first: Mapping[int, float], second: Mapping[int, float]
) -> tuple[Estimate | None, str]:
    if not first or not second:
        return None, ""
    if first.keys() == second.keys() and len(first) > 1:
        return paired_difference(second, first), "paired"
    difference = welch_difference(list(second.values()), list(first.values()))
    return difference, "one seed" if difference.count == 1 else "Welch"


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (name, first[name], second[name])
        for name in first
        if name != "settings" and first[name] != second.get(name)
    ]


def _settings_that_differ(
    first: Mapping[str, Any], second: Mapping[str, Any], name: str = "settings"
) -> list[str]:
    """Returns a sentence for each field of the configuration that differs between two groups or two rows."""
    if name not in first or name not in second:
        return []
    texts = [
        {path: json.dumps(value) for path, value in each[name].items()} for each in (first, second)
    ]
    return [
        f"{path} differs: {settings.shown(texts[0], path)} in A, {settings.shown(texts[1], path)} in B."
        for path in settings.differing(*texts)
    ]


def _devices(rows: Mapping[Key, Mapping[str, Any]]) -> str:
    return " + ".join(sorted({row["device"] for row in rows.values()} - {"", None}))


def _mean(value: Any) -> float | None:
    return value["mean"] if isinstance(value, dict) else value


def _shown(value: Any) -> str:
    if value in (None, ""):
        return "not recorded"
    return f"{value:,.10g}" if isinstance(value, int | float) else str(value)


def _label(key: Key) -> str:
    return f"{key[0]} ({key[1]} px)"
