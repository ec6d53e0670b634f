"""Where runs differ from the rules of a board."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from isobudget.wording import digits, exact, shown
from results.records import settings
from results.records.groups import group_of
from results.records.schema import RunRecord
from results.rules.schema import ANY, Division, Rules

_MOST_NAMED = 8  # seeds in a sentence


@dataclass(frozen=True)
class Breach:
    """A rule that is not kept.

    Attributes:
      rule: its key in the `board.toml`.
      reason: one sentence on what differs.
    """

    rule: str
    reason: str


class Row(NamedTuple):
    """A run's row: a digest of what its runs have in common, which is all but the seed; its model; and the seed."""

    key: str
    label: str
    seed: int


def breaches(rules: Rules, record: RunRecord) -> list[Breach]:
    """Returns the rules that a run does not keep; of divisions, those of the one that it is nearest to."""
    shared = [*_of_board(rules, record)]
    tried = [[*_of_division(division, record)] for division in rules.divisions]
    return shared + min(tried, key=len)


def division_of(rules: Rules, *runs: RunRecord) -> str | None:
    """Returns the first division whose rules all these runs keep; None where there is none."""
    for division in rules.divisions:
        if not any(breach for record in runs for breach in _of_division(division, record)):
            return division.name
    return None


def row_of(record: RunRecord) -> Row:
    """Returns which row a run belongs to, and with which seed."""
    shared = (
        record.label,
        record.model.image_size,
        settings.of_model(record),
        # Each seed may begin with weights of its own; which are allowed is a rule of the board.
        dataclasses.replace(group_of(record), start=""),
        bool(record.init_digest or record.config.get("init_from")),
        repr(record.config.get("transfer")),
        tuple((plugin.module, plugin.digest) for plugin in record.plugins),
    )
    return Row(hashlib.sha256(repr(shared).encode()).hexdigest(), record.label, record.seed)


def breaches_of_rows(rules: Rules, runs: Iterable[Row]) -> Iterator[Breach]:
    """Yields, for each row whose seeds are not those of the board, what differs.

    Seeds are declared before any run, or counted from 0, so that nobody can choose the best.
    """
    rows: dict[tuple[str, str], set[int]] = defaultdict(set)
    for run in runs:
        rows[run.key, run.label].add(run.seed)
    for (_, label), seeds in rows.items():
        missing, others = sorted(set(rules.seeds) - seeds), sorted(seeds - set(rules.seeds))
        parts = [f"it lacks {_seeds(missing)}"] if missing else []
        parts += [f"it has {_seeds(others)}"] if others else []
        if parts:
            wanted = _seeds(rules.seeds)
            reason = f"the row of {label} must have {wanted}, and {' and '.join(parts)}."
            yield Breach("seeds", reason)


def _of_board(rules: Rules, record: RunRecord) -> Iterator[Breach]:
    if record.status != "completed":
        yield Breach(
            "status", f"the run {record.status}, and only those that completed are ranked."
        )
    dataset, budget = record.dataset, record.budget
    pairs = [
        ("dataset", rules.dataset, dataset.name),
        ("version", rules.version, dataset.version),
        ("task", rules.task, dataset.task),
        ("budget.kind", rules.budget_kind, budget.kind),
    ]
    pairs += [
        (f"splits.{name}", wanted, getattr(dataset, f"{name}_split"))
        for name, wanted in rules.splits.items()
    ]
    for rule, wanted, given in pairs:
        if wanted and wanted != given:
            yield Breach(rule, f"{rule} is {shown(given)}, and the board's is {shown(wanted)}.")
    if budget.amount != rules.budget_amount:
        given, wanted = exact(budget.amount), exact(rules.budget_amount)
        reason = f"its budget is {given} {budget.kind}, and the board's is {wanted}."
        yield Breach("budget.amount", reason)
    if record.seed not in rules.seeds:
        reason = f"its seed is {digits(record.seed)}, and the board's are {_seeds(rules.seeds)}."
        yield Breach("seeds", reason)
    begins = record.init_digest
    if begins and begins not in rules.init_digests and ANY not in rules.init_digests:
        yield Breach("init_digests", "it begins with weights that the board does not allow.")
    elif record.config.get("init_from") and not begins and ANY not in rules.init_digests:
        yield Breach("init_digests", "it does not say which weights it begins with.")
    yield from _of_hardware(rules, record)


def _of_hardware(rules: Rules, record: RunRecord) -> Iterator[Breach]:
    hardware = rules.hardware
    for name in ("platform", "device_kind", "cpu"):
        allowed, given = getattr(hardware, name), record.hardware.get(name)
        if allowed is not None and given not in allowed:
            reason = (
                f"its {name} is {shown(given)}, and the board's {' or '.join(map(shown, allowed))}."
            )
            yield Breach(f"hardware.{name}", reason)
    for name in ("device_count", "cpu_cores"):
        wanted, given = getattr(hardware, name), record.hardware.get(name)
        if wanted is not None and given != wanted:
            reason = f"its {name} is {shown(given)}, and the board's {shown(wanted)}."
            yield Breach(f"hardware.{name}", reason)


def _of_division(division: Division, record: RunRecord) -> Iterator[Breach]:
    where = f"the division {division.name}"
    if division.recipe and record.recipe != division.recipe:
        reason = (
            f"its recipe is {shown(record.recipe)}, and that of {where} {shown(division.recipe)}."
        )
        yield Breach("recipe", reason)
    trials = record.config.get("tuning_trials")
    most = division.tuning_trials
    if most is not None and (type(trials) is not int or not 0 <= trials <= most):
        said = shown(trials) if trials is not None else "an unknown number"
        reason = f"it was tuned with {said} trials, and {where} allows {most}."
        yield Breach("tuning_trials", reason)
    for plugin in record.plugins:
        if plugin.module not in division.plugins and ANY not in division.plugins:
            yield Breach("plugins", f"{where} does not allow the plug-in {shown(plugin.module)}.")
        wanted = division.plugin_digests.get(plugin.module)
        if wanted is not None and plugin.digest != wanted:
            reason = f"the source of its plug-in {shown(plugin.module)} is not the one that {where} allows."
            yield Breach("plugin_digests", reason)
    named = record.config.get("plugins")
    recorded = {plugin.module for plugin in record.plugins}
    for module in named if isinstance(named, list | tuple) else ():
        allowed = module in division.plugins or ANY in division.plugins
        if module not in recorded and not allowed:
            yield Breach("plugins", f"{where} does not allow the plug-in {shown(module)}.")
    for path, wanted in division.config.items():
        given = _inside(record.config, path)
        if not _alike(given, wanted):
            reason = f"its config.{path} is {shown(given)}, and that of {where} {shown(wanted)}."
            yield Breach(f"config.{path}", reason)


def _inside(config: Mapping[str, Any], path: str) -> Any:
    """Returns the value of a field; of one that an older record lacks, its default."""
    value: Any = config
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return settings.DEFAULTS.get(path)
        value = value[key]
    return value


def _alike(given: Any, wanted: Any) -> bool:
    if isinstance(given, list | tuple) and isinstance(wanted, list | tuple):
        return len(given) == len(wanted) and all(map(_alike, given, wanted))
    return bool(given == wanted) and isinstance(given, bool) == isinstance(wanted, bool)


def _seeds(seeds: Sequence[int]) -> str:
    named = ", ".join(digits(seed) for seed in seeds[:_MOST_NAMED])
    more = f" and {len(seeds) - _MOST_NAMED} more" if len(seeds) > _MOST_NAMED else ""
    return f"seed{'s' if len(seeds) != 1 else ''} {named}{more}"
