"""How a repeated run compares with its record: bit by bit, or with what the other seeds lead one to expect."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from benchmarks.errors import ConfigError
from benchmarks.reproduce import surroundings
from results import records
from results.rankings import statistics
from results.records import layout, tasks

IDENTICAL = "bit-identical"
WITHIN = "within the seeds' interval"
DIFFERENT = "different"

# The only value logged of training that depends on a clock.
_SPEED = "train/images_per_second"


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """What came out when a record was run again.

    Attributes:
      record: the record's file.
      model: its name with its options.
      seed: the run's.
      verdict: `bit-identical`, `within the seeds' interval` or `different`.
      reason: one sentence on why.
      steps: how many steps it was stopped after; None for the whole run.
      metrics: (there, here) by name: of the test split, or of training after the last step that was compared.
      digests: (there, here) of the weights; None if there are none.
      seeds: how many other seeds of the suite the interval is made of.
      interval: where the primary metric of one more seed is expected, with 95% confidence.
      differences: those in software, code, hardware, data and configuration.
    """

    record: str
    model: str
    seed: int
    verdict: str
    reason: str
    steps: int | None = None
    metrics: dict[str, tuple[float | None, float | None]] = dataclasses.field(default_factory=dict)
    digests: tuple[str | None, str | None] = (None, None)
    seeds: int = 0
    interval: tuple[float, float] | None = None
    differences: tuple[surroundings.Difference, ...] = ()


# The metrics of training, as text where they are not finite, by the (first, last] steps that they are means over.
Logged = dict[tuple[int, int], dict[str, Any]]


def logged(folder: Path) -> Logged:
    """Returns what the `metrics.jsonl` of a run's folder says of training; nothing if there is no such file.

    Raises:
      ConfigError: it is damaged.
    """
    path, before = layout.metrics_in(folder), 0
    intervals: Logged = {}
    if not path.exists():
        return intervals
    try:
        for line in map(json.loads, path.read_text().splitlines()):
            values = {
                name: value
                for name, value in line.items()
                if name.startswith("train/") and name != _SPEED
            }
            if values:
                intervals[before, line["step"]] = values
                before = line["step"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is damaged.") from None
    return intervals


def compare_steps(path: Path, record: records.RunRecord, ours: Logged, steps: int) -> Reproduction:
    """Returns how the log of the first steps compares with that of the recorded run, whose record is at `path`."""
    theirs = logged(path.parent)
    compared = Reproduction(str(path), record.label, record.seed, DIFFERENT, "", steps=steps)
    shared = sorted(theirs.keys() & ours.keys())
    if not shared:
        return dataclasses.replace(compared, reason="nothing was logged of the same steps.")
    unequal = [interval for interval in shared if theirs[interval] != ours[interval]]
    shown = unequal[0] if unequal else shared[-1]
    compared = dataclasses.replace(
        compared,
        metrics={name: (theirs[shown].get(name), ours[shown].get(name)) for name in theirs[shown]},
    )
    if unequal:
        reason = f"what was logged of training differs in steps {shown[0] + 1} to {shown[1]}."
        return dataclasses.replace(compared, reason=reason)
    reason = f"what was logged of training agrees up to step {shown[1]}."
    return dataclasses.replace(compared, verdict=IDENTICAL, reason=reason)


def compare_runs(path: Path, record: records.RunRecord, again: records.RunRecord) -> Reproduction:
    """Returns how the record of a repeated run compares with the one at `path`."""
    there, here = record.metrics.test, again.metrics.test
    compared = Reproduction(
        str(path),
        record.label,
        record.seed,
        DIFFERENT,
        "",
        metrics={
            name: (there.get(name), here.get(name)) for name in sorted(there.keys() | here.keys())
        },
        digests=(record.weights_digest, again.weights_digest),
    )
    if "completed" not in (record.status, again.status):
        return _failed_alike(compared, record, again)
    if record.status != again.status:
        reason = f"the record's run {_ending(record)}, this one {_ending(again)}."
        return dataclasses.replace(compared, reason=reason)
    if record.weights_digest and record.weights_digest == again.weights_digest:
        return dataclasses.replace(
            compared, verdict=IDENTICAL, reason="the weights have the same digest."
        )
    return _among_seeds(compared, path, record, again)


def _failed_alike(
    compared: Reproduction, record: records.RunRecord, again: records.RunRecord
) -> Reproduction:
    """Returns how two runs compare that both failed."""
    same = (record.status, _step(record)) == (again.status, _step(again))
    if record.status != "diverged":
        same = same and record.error == again.error
    if same:
        return dataclasses.replace(
            compared, verdict=IDENTICAL, reason=f"both runs {_ending(again)}, as far as they came."
        )
    reason = f"the record's run {_ending(record)}, this one {_ending(again)}."
    return dataclasses.replace(compared, reason=reason)


def _step(record: records.RunRecord) -> int | None:
    return record.failure.step if record.failure else None


def _ending(record: records.RunRecord) -> str:
    if record.status == "diverged" and record.failure:
        return f"diverged at step {record.failure.step}"
    how = {"completed": "completed", "out_of_memory": "ran out of memory"}
    error = f" ({record.error.rstrip('.')})" if record.error else ""
    return how.get(record.status, record.status) + error


def _among_seeds(
    compared: Reproduction, path: Path, record: records.RunRecord, again: records.RunRecord
) -> Reproduction:
    """Returns how the primary metric compares with what the suite's other seeds lead one to expect."""
    primary = tasks.find(record.dataset.task).primary
    others = _other_seeds(path, record, primary)
    interval = statistics.prediction_interval(list(others.values()))
    compared = dataclasses.replace(compared, seeds=len(others), interval=interval)
    score = again.metrics.test.get(primary, math.nan)
    if interval is None:
        reason = f"the weights' digests differ, and {len(others)} other seeds make no interval."
        return dataclasses.replace(compared, reason=reason)
    low, high = interval
    inside = low <= score <= high
    where = f"test {primary} {score:.4f} is {'in' if inside else 'outside'} {low:.4f} to {high:.4f}"
    return dataclasses.replace(
        compared,
        verdict=WITHIN if inside else DIFFERENT,
        reason=f"the weights' digests differ; {where}, the 95% prediction interval of"
        f" {len(others)} other seeds.",
    )


def _other_seeds(path: Path, record: records.RunRecord, primary: str) -> dict[int, float]:
    """Returns the primary metric of the suite's completed runs of the same configuration, by seed."""
    folder = path.resolve().parent
    if folder.parent.name != "runs":
        return {}
    others, _ = records.load_all([folder.parents[1]])
    return {
        other.seed: other.metrics.test[primary]
        for other in others
        if other.status == "completed"
        and other.seed != record.seed
        and _shared(other) == _shared(record)
        and math.isfinite(other.metrics.test.get(primary, math.nan))
    }


def _shared(record: records.RunRecord) -> dict[str, Any]:
    """Returns what runs of other seeds have in common."""
    return {
        name: value for name, value in record.config.items() if name not in ("seed", "data_dir")
    }


def describe(compared: Reproduction) -> str:
    """Returns the lines that the command prints at its end."""
    part = f", its first {compared.steps} steps" if compared.steps else ""
    lines = [
        f"  {name}: {_number(there)} there, {_number(here)} here"
        for name, (there, here) in compared.metrics.items()
    ]
    title = f"{compared.model}, seed {compared.seed}{part}"
    return "\n".join([title, *lines, f"{compared.verdict}: {compared.reason}"])


def _number(value: Any) -> str:
    return "not measured" if value is None else str(value)
