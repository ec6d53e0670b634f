"""What a `board.toml` may say, read and checked.

    title = "Digits, 8,000 examples"
    dataset = "digits"
    seeds = [0, 1, 2]

    [budget]
    kind = "examples"
    amount = 8000

    [[divisions]]
    name = "common"
    recipe = "common"

    [[divisions]]
    name = "open"
    tuning_trials = 32
    plugins = ["*"]

docs/auditing.md has every key.
"""

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isobudget.wording import quoted, quoted_path, shown
from results import RecordError
from results.bundles import strict_json
from results.records import tasks

ANY = "*"
_BUDGETS = ("examples", "epochs", "flops", "seconds")
_MOST_BYTES = 1 << 20
_MOST_SEEDS = 1_000


@dataclass(frozen=True)
class Division:
    """A part of a board with rules of its own; a run belongs to the first whose rules it keeps.

    Attributes:
      name: of the division.
      recipe: of its runs; empty for any, which makes it an open division.
      tuning_trials: the most trials that a model may be tuned with; None for any number.
      plugins: the modules that runs may import, `*` for any.
      plugin_digests: the SHA-256 that a module must have, by module; others may have any.
      config: values of the configuration that runs must have, by path with dots.
    """

    name: str
    recipe: str = ""
    tuning_trials: int | None = None
    plugins: tuple[str, ...] = ()
    plugin_digests: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Hardware:
    """The machines that runs must be made on; each None for any.

    Attributes:
      platform, device_kind, cpu: what a record may say of each, one of several.
      device_count, cpu_cores: how many.
    """

    platform: tuple[str, ...] | None = None
    device_kind: tuple[str, ...] | None = None
    cpu: tuple[str, ...] | None = None
    device_count: int | None = None
    cpu_cores: int | None = None


@dataclass(frozen=True)
class Rules:
    """The rules of a board.

    Attributes:
      title: of the board.
      dataset, budget_kind, budget_amount: what all runs have in common.
      seeds: what every row must have, no more and no fewer.
      description: a sentence or two for the board's page.
      version: of the dataset; empty for any.
      task: of the runs; empty for any.
      splits: the splits that runs must train, choose and be tested on, by `train`, `validation` and `test`.
      init_digests: the weights that runs may begin with, `*` for any; empty where all must be drawn.
      hardware: the machines.
      divisions: in the order in which they are tried, one at least.
    """

    title: str
    dataset: str
    budget_kind: str
    budget_amount: float
    seeds: tuple[int, ...]
    description: str = ""
    version: str = ""
    task: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)
    init_digests: tuple[str, ...] = ()
    hardware: Hardware = Hardware()
    divisions: tuple[Division, ...] = (Division("all"),)


def read(path: str | os.PathLike[str]) -> Rules:
    """Returns the rules in a file.

    Raises:
      RecordError: it cannot be read, or is no `board.toml`; one sentence names the file and what is wrong.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise RecordError(f"it has more than {_MOST_BYTES:,} bytes.")
        return from_toml(data.decode("utf-8"))
    except OSError as error:
        raise RecordError(f"{quoted_path(path)} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise RecordError(f"{quoted_path(path)} is not text in UTF-8.") from None
    except RecordError as error:
        raise RecordError(f"{Path(path)}: {error}") from None


def from_toml(text: str) -> Rules:
    """Returns the rules in TOML text.

    Raises:
      RecordError: it is not TOML, or says what rules do not say.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise RecordError(f"it is not TOML ({reason}).") from None
    top = _Table(content, "")
    budget = _Table(top.required("budget", dict), "budget.")
    rules = Rules(
        title=top.text("title", required=True),
        description=top.text("description"),
        dataset=top.text("dataset", required=True),
        version=top.text("version"),
        task=top.text("task", one_of=tuple(each.name for each in tasks.TASKS)),
        budget_kind=budget.text("kind", required=True, one_of=_BUDGETS),
        budget_amount=budget.amount("amount"),
        seeds=_seeds(top.required("seeds", int | list)),
        splits=top.texts_by_name("splits", ("train", "validation", "test")),
        init_digests=top.texts("init_digests") or (),
        hardware=_hardware(_Table(top.optional("hardware", dict, {}), "hardware.")),
        divisions=_divisions(top.optional("divisions", list, [])),
    )
    budget.refuse_others()
    top.refuse_others()
    return rules


class _Table:
    """A table of TOML, whose keys are taken one by one; what is left at the end is a mistake."""

    def __init__(self, content: Mapping[str, Any], where: str):
        self._left, self._where = dict(content), where

    def required(self, key: str, kind: Any) -> Any:
        if key not in self._left:
            raise RecordError(f"it does not say {quoted(self._where + key)}.")
        return self.optional(key, kind, None)

    def optional(self, key: str, kind: Any, default: Any) -> Any:
        if key not in self._left:
            return default
        value = self._left.pop(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RecordError(f"{quoted(self._where + key)} cannot be {shown(value)}.")
        return value

    def text(self, key: str, required: bool = False, one_of: tuple[str, ...] = ()) -> str:
        value = self.required(key, str) if required else self.optional(key, str, "")
        self._check(key, value)
        if value and one_of and value not in one_of:
            raise RecordError(
                f"{quoted(self._where + key)} is one of {', '.join(one_of)}, not {shown(value)}."
            )
        if required and not value:
            raise RecordError(f"{quoted(self._where + key)} is empty.")
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Returns a list of texts; a single one may stand without brackets."""
        value = self.optional(key, str | list, None)
        if value is None:
            return None
        listed = [value] if isinstance(value, str) else value
        for each in listed:
            if not isinstance(each, str):
                raise RecordError(f"{quoted(self._where + key)} cannot have {shown(each)}.")
            self._check(key, each)
        return tuple(listed)

    def texts_by_name(self, key: str, names: tuple[str, ...] = ()) -> dict[str, str]:
        value = self.optional(key, dict, {})
        for name, each in value.items():
            if (names and name not in names) or not isinstance(each, str):
                raise RecordError(
                    f"{quoted(f'{self._where}{key}.{name}')} cannot be {shown(each)}."
                )
            self._check(key, each)
        return dict(value)

    def amount(self, key: str) -> float:
        value = self.required(key, int | float)
        if not (0 < value < 1e100 and math.isfinite(value)):
            raise RecordError(
                f"{quoted(self._where + key)} is a number above 0, not {shown(value)}."
            )
        return float(value)

    def count(self, key: str, least: int) -> int | None:
        value = self.optional(key, int, None)
        if value is not None and not least <= value < 2**63:
            raise RecordError(
                f"{quoted(self._where + key)} is a whole number from {least}, not {shown(value)}."
            )
        return value

    def refuse_others(self) -> None:
        for key in self._left:
            raise RecordError(f"there is no rule {quoted(self._where + key)}.")

    def _check(self, key: str, value: str) -> None:
        try:
            strict_json.check_text(value)
        except RecordError as error:
            raise RecordError(f"{quoted(self._where + key)} {error}") from None


def _seeds(value: Any) -> tuple[int, ...]:
    """Returns the seeds of a row: those that are listed, or as many as are asked for, from 0."""
    if isinstance(value, int):
        if not 1 <= value <= _MOST_SEEDS:
            raise RecordError(
                f"'seeds' is how many there are, from 1, or a list, not {shown(value)}."
            )
        return tuple(range(value))
    if not value or any(type(each) is not int or abs(each) >= 2**63 for each in value):
        raise RecordError(f"'seeds' is how many there are, or a list of them, not {shown(value)}.")
    if len(set(value)) != len(value) or len(value) > _MOST_SEEDS:
        raise RecordError("'seeds' has one twice, or too many.")
    return tuple(sorted(value))


def _hardware(table: _Table) -> Hardware:
    hardware = Hardware(
        platform=table.texts("platform"),
        device_kind=table.texts("device_kind"),
        cpu=table.texts("cpu"),
        device_count=table.count("device_count", 1),
        cpu_cores=table.count("cpu_cores", 1),
    )
    table.refuse_others()
    return hardware


def _divisions(listed: list[Any]) -> tuple[Division, ...]:
    divisions = []
    for number, content in enumerate(listed):
        if not isinstance(content, dict):
            raise RecordError("'divisions' is a list of tables, [[divisions]].")
        table = _Table(content, f"divisions.{number}.")
        name = table.text("name", required=True)
        if not re.fullmatch(r"[\w -]{1,60}", name):
            raise RecordError(
                f"a division's name has letters, digits, spaces and -, not {shown(name)}."
            )
        divisions.append(
            Division(
                name=name,
                recipe=table.text("recipe"),
                tuning_trials=table.count("tuning_trials", 0),
                plugins=table.texts("plugins") or (),
                plugin_digests=table.texts_by_name("plugin_digests"),
                config=_flat(table.optional("config", dict, {})),
            )
        )
        table.refuse_others()
    names = [each.name for each in divisions]
    if len(set(names)) != len(names):
        raise RecordError("two divisions have the same name.")
    return tuple(divisions) or (Division("all"),)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of nested tables by their paths with dots."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
