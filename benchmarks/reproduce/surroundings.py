"""How this machine, its software and its data differ from those that a record was made with."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from benchmarks.config import stored
from benchmarks.machine import environment
from benchmarks.runs.plan import Run
from benchmarks.runs.record import planned_record
from results import records


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that is different here from the record.

    Attributes:
      what: `software`, `code`, `plug-in`, `hardware`, `data`, `weights` (the initial ones) or `configuration`.
      name: such as `jax` or `device_kind`.
      there: its value in the record; None if that says nothing.
      here: its value on this machine; None if it is missing.
    """

    what: str
    name: str
    there: Any
    here: Any

    def __str__(self) -> str:
        return f"{self.what}: {self.name} was {_text(self.there)}, here {_text(self.here)}"


def differences(record: records.RunRecord, run: Run) -> list[Difference]:
    """Returns what differs between a record and `run`, which is its configuration prepared here."""
    here = planned_record(run, record.started_at, record.status)
    hardware = environment.hardware(run.config.dtype)
    code = (_as_dict(each.git) for each in (record, here))
    data = (_as_dict(each.dataset) for each in (record, here))
    return [
        *_compared("software", record.software, here.software),
        *_compared("code", *code),
        *_compared("hardware", record.hardware, hardware),
        *_compared("data", *data),
        *_compared("plug-in", _versions(record), _versions(here)),
        *_compared(
            "weights", {"init_digest": record.init_digest}, {"init_digest": here.init_digest}
        ),
        *_missing_fields(dict(record.config), stored.to_plain(run.config)),
    ]


def _versions(record: records.RunRecord) -> dict[str, str]:
    """Returns what identifies the code of each plug-in, by module."""
    return {
        each.module: f"{each.package or 'no package'} {each.version or ''} (SHA-256 {each.digest})"
        for each in record.plugins
    }


def _as_dict(part: Any) -> dict[str, Any]:
    return {} if part is None else dataclasses.asdict(part)


def _compared(what: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(what, name, there.get(name), here.get(name))
        for name in sorted(there.keys() | here.keys())
        if not _same(name, there.get(name), here.get(name))
    ]


def _same(name: str, there: Any, here: Any) -> bool:
    if name == "memory_bytes" and there and here:
        # How much a kernel keeps for itself changes with its version.
        return math.isclose(there, here, rel_tol=0.01)
    return there == here


def _missing_fields(
    there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = ""
) -> list[Difference]:
    """Returns the fields that an older record's configuration lacks, and which have their defaults here."""
    missing = []
    for name, value in here.items():
        if name not in there:
            missing.append(Difference("configuration", prefix + name, None, value))
        elif isinstance(value, dict) and isinstance(there[name], Mapping):
            missing += _missing_fields(there[name], value, f"{prefix}{name}.")
    return missing


def _text(value: Any) -> str:
    return "not said" if value is None else str(value)
