"""Level e: the first steps of a run, run again."""

import datetime
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.audit.configuration import NotHereError, run_folder
from benchmarks.errors import BudgetError, ConfigError
from benchmarks.reproduce import comparison, reproduce
from input_pipeline.errors import DataError
from results.audit import CONSISTENT, CONTRADICTED, NOT_CHECKED, VERIFIED, Claim
from results.bundles import SubmittedRun
from results.records import layout

_LEVEL = "e"
# On other software or another kind of machine: by how much of itself a loss may differ, in the first interval of the
# log, and in later ones, where differences of rounding have grown.
FIRST_OFF, LATER_OFF = 0.005, 0.1
# On the same kind of machine: how many times as long the same steps may take; the second, if the run's clock counted
# less than half of the time between its start and its end.
SLOWER, SLOWER_AND_SHORT = 10.0, 2.5
_NUMERIC = ("jax", "jaxlib", "flax", "optax", "numpy", "grain", "opencv-python-headless")
_KIND_OF_MACHINE = ("platform", "device_kind", "device_count", "process_count", "cpu", "cpu_cores")


def claims(run: SubmittedRun, steps: int) -> Iterator[Claim]:
    """Yields whether the losses of the first steps, and their seconds, are those of the log.

    Raises:
      NotHereError: they cannot be run here.
    """
    record = run.record
    if record.init_digest or not record.budget.steps:
        raise NotHereError("it begins with weights that are not here.")
    logged = [line for line in run.log if "train/loss" in line]
    if not logged or type(logged[0].get("step")) is not int:
        raise NotHereError("there is no log of its training.")
    steps = min(max(steps, logged[0]["step"]), record.budget.steps - 1)
    with run_folder(record) as folder:
        _write_lines(layout.metrics_in(folder), run.log)
        if run.progress:
            _write_lines(layout.progress_in(folder), run.progress)
        again = folder.parent / "again"
        try:
            compared = reproduce(
                layout.path_in(folder),
                steps=steps,
                workdir=again,
                data_dir=record.config.get("data_dir") or None,
            )
        except (ConfigError, BudgetError, DataError) as error:
            raise NotHereError(str(error).replace(str(folder.parent), "")) from None
        theirs, ours = comparison.logged(folder), comparison.logged(again)
        seconds = _seconds(layout.metrics_in(again))
    differing = {(each.what, each.name) for each in compared.differences}
    yield _losses(theirs, ours, differing)
    yield _speed(run, seconds, differing)


def _losses(
    theirs: comparison.Logged, ours: comparison.Logged, differing: set[tuple[str, str]]
) -> Claim:
    name = "log.losses"
    shared = sorted(theirs.keys() & ours.keys())
    if not shared:
        return Claim(_LEVEL, name, NOT_CHECKED, "nothing was logged of the same steps.")
    last = shared[-1][1]
    if all(theirs[each] == ours[each] for each in shared):
        return Claim(_LEVEL, name, VERIFIED, f"bit-identical up to step {last:,}.")
    same_software = not any(("software", each) in differing for each in _NUMERIC)
    same_machine = not any(("hardware", each) in differing for each in _KIND_OF_MACHINE)
    same_code = not any(what in ("code", "plug-in") for what, _ in differing)
    for number, interval in enumerate(shared):
        loss, here = (_number(each[interval].get("train/loss")) for each in (theirs, ours))
        most = LATER_OFF if number else FIRST_OFF
        exact = same_software and same_machine and same_code
        if not (loss == here if exact else math.isclose(loss, here, rel_tol=most)):
            within = "the same software and kind of machine" if exact else f"{most:.1%} allowed"
            reason = (
                f"the log says a loss of {loss:.6g} for steps {interval[0] + 1:,} to {interval[1]:,}, and here it is"
                f" {here:.6g} ({within})."
            )
            return Claim(_LEVEL, name, CONTRADICTED, reason)
    reason = f"the losses agree up to step {last:,}, to {LATER_OFF:.0%}, on other software or another machine."
    return Claim(_LEVEL, name, CONSISTENT, reason)


def _speed(run: SubmittedRun, seconds: dict[int, float], differing: set[tuple[str, str]]) -> Claim:
    """Returns whether the same steps take about as long here, where that is the same kind of machine."""
    name = "seconds"
    theirs = {
        line["step"]: _number(line.get("train_seconds")) for line in run.log if "step" in line
    }
    shared = sorted(step for step in theirs.keys() & seconds.keys() if theirs[step] > 0)
    if not shared:
        return Claim(_LEVEL, name, NOT_CHECKED, "the log has no seconds of the same steps.")
    there, here = theirs[shared[-1]], seconds[shared[-1]]
    took = f"its first {shared[-1]:,} steps took {there:.3g} seconds there and {here:.3g} here"
    if any(("hardware", each) in differing for each in _KIND_OF_MACHINE):
        return Claim(_LEVEL, name, NOT_CHECKED, f"{took}, on another kind of machine.")
    slower = here / there
    if slower > SLOWER or (slower > SLOWER_AND_SHORT and _missed_much(run)):
        return Claim(_LEVEL, name, CONTRADICTED, f"{took}, on the same kind of machine.")
    return Claim(_LEVEL, name, CONSISTENT, f"{took}, on the same kind of machine.")


def _missed_much(run: SubmittedRun) -> bool:
    """Returns whether more than twice the seconds that the run counted passed between its start and its end."""
    record = run.record
    began, ended = map(datetime.datetime.fromisoformat, (record.started_at, record.finished_at))
    total = record.timings.total_seconds
    return total is not None and (ended - began).total_seconds() > 2 * total + 2


def _seconds(path: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["step"]: line["train_seconds"] for line in lines if "train_seconds" in line}


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
