"""Answers a request: what models, data, weights and training say of one submitted run."""

import dataclasses
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

import models
from benchmarks.audit import configuration, counts, examples, steps, weights
from benchmarks.audit.configuration import NotHereError
from isobudget import plugins
from isobudget.errors import UserError
from results.audit import CONSISTENT, NOT_CHECKED, Claim
from results.bundles import Source, SubmittedRun, open_source, read_run

# What is not checked, by level, if it cannot be.
_NAMES = {"b": "models", "c": "labels", "d": "weights", "e": "log.losses"}


@dataclasses.dataclass(frozen=True)
class Request:
    """What `results.audit` asks.

    Attributes:
      do: `audit`.
      path: of the submission.
      run_id: of the run in it.
      data_dir: of prepared datasets; None for TFDS's own.
      rerun_steps: how many steps to run again; 0 for none.
    """

    do: str
    path: str
    run_id: str
    data_dir: str | None = None
    rerun_steps: int = 0


def audit(request: Request) -> list[dict[str, str]]:
    """Returns the claims on a run, as plain mappings."""
    with open_source(request.path) as source:
        run = read_run(source, request.run_id)
        return [dataclasses.asdict(claim) for claim in _claims(source, run, request)]


def _claims(source: Source, run: SubmittedRun, request: Request) -> Iterator[Claim]:
    try:
        record = configuration.safe_record(run.record, request.data_dir)
        config = configuration.configuration(record)
    except (NotHereError, UserError) as error:
        yield Claim("b", _NAMES["b"], NOT_CHECKED, str(error))
        return
    yield from _plugins(run)
    yield from _level("b", lambda: counts.claims(run, config))
    if run.record.status != "completed":
        return
    run = dataclasses.replace(run, record=record)
    yield from _level("c", lambda: _with_own_data(run, lambda: examples.claims(run, config)))
    if run.has_weights:
        yield from _level("d", lambda: _with_own_data(run, lambda: _weights(source, run, config)))
    if request.rerun_steps:
        repeated = lambda: steps.claims(run, request.rerun_steps)  # noqa: E731
        yield from _level("e", lambda: _with_own_data(run, repeated))


def _weights(source: Source, run: SubmittedRun, config: ConfigDict) -> Iterator[Claim]:
    return weights.claims(source, run, config)


def _with_own_data(run: SubmittedRun, claims: Callable[[], Iterator[Claim]]) -> Iterator[Claim]:
    configuration.own_data(run.record)
    return claims()


def _level(level: str, claims: Callable[[], Iterator[Claim]]) -> Iterator[Claim]:
    """Yields the claims of a level; what cannot be checked here is said to be so."""
    try:
        yield from claims()
    except NotHereError as error:
        yield Claim(level, _NAMES[level], NOT_CHECKED, str(error))
    except (UserError, models.ModelError) as error:
        yield Claim(level, _NAMES[level], NOT_CHECKED, f"it cannot be checked here: {error}")


def _plugins(run: SubmittedRun) -> Iterator[Claim]:
    """Yields whether the plug-ins here are those that the run was made with."""
    here = {each.module: each.digest for each in plugins.loaded()}
    for each in run.record.plugins:
        same = here.get(each.module) == each.digest
        reason = (
            "its source is that of the module here."
            if same
            else "its source is not that of the module here."
        )
        name = f"plugins.{each.module}"
        yield Claim("b", name, CONSISTENT if same else NOT_CHECKED, reason)
