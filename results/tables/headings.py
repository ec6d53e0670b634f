"""The words around a table: its title, the data, the budget, the machine, the failures."""

from collections.abc import Iterable, Sequence

from isobudget.wording import exact
from results.rankings.rows import Row, Table
from results.records import tasks
from results.records.groups import Group, device, host
from results.records.schema import RunRecord

_UNITS = {"flops": "training FLOPs", "seconds": "seconds of training"}
_MOST_NAMED = 4


def title(group: Group, apart: Sequence[tuple[str, str]] = ()) -> str:
    """Returns the heading of a ranking: `digits 1.0.0 (test): 12,000 examples, batch size 64, ...`.

    Args:
      group: of the ranking.
      apart: what sets it apart from others of its dataset, see `results.rankings.rows.Table`.
    """
    where = f" on {group.device}" if group.device else ""
    tuned = "" if group.tuning_trials is None else f", {tuning(group)}"
    start = f", {group.start}" if group.start else ""
    others = "".join(f", {path} {value}" for path, value in apart[:_MOST_NAMED])
    if len(apart) > _MOST_NAMED:
        others += f" and {len(apart) - _MOST_NAMED} more"
    return (
        f"{group.dataset} {group.dataset_version} ({group.test_split}): {budget(group)}{where}, "
        f"{batch_size(group)}, {group.recipe} recipe{tuned}{start}{others}"
    )


def batch_size(group: Group) -> str:
    """Returns the batch size in words: `batch size 64`."""
    if group.batch_size is None:
        return "each paper's batch size"
    return f"batch size {group.batch_size:,}"


def tuning(group: Group) -> str:
    """Returns what each model was allowed to try: `8 tuning trials`."""
    trials = group.tuning_trials
    if trials is None:
        return "tuning allowance not recorded"
    return f"{trials:,} tuning trial{'' if trials == 1 else 's'}" if trials else "no tuning"


def budget(group: Group) -> str:
    """Returns the budget with its unit: `12,000 examples`, `1e+15 training FLOPs`."""
    amount = group.budget_amount
    number = exact(amount, 4) if amount >= 1e9 else f"{amount:,.10g}"
    if float(number.replace(",", "")) != amount:
        number = exact(amount)
    return f"{number} {_UNITS.get(group.budget_kind, group.budget_kind.replace('_', ' '))}"


def description(table: Table) -> list[str]:
    """Returns the lines above a table, each `Name: text`: dataset, what was matched, what sets it apart, machine."""
    runs = [run for row in table.rows for run in row.runs]
    group = table.group
    trained = _distinct(_split(run.dataset.train_split, run.dataset.train_examples) for run in runs)
    tested = _distinct(_split(run.dataset.test_split, run.dataset.test_examples) for run in runs)
    apart = ", ".join(f"{path} {value}" for path, value in table.apart)
    return [
        f"Dataset: {group.dataset} {group.dataset_version}, {group.task}; "
        f"trained on {trained}, reported on {tested}",
        f"Matched: {budget(group)} a run, {batch_size(group)}, "
        f"{group.recipe} recipe, {tuning(group)}{', ' if group.start else ''}{group.start}",
        *([f"Set apart from other rankings of this dataset: {apart}"] if apart else []),
        f"Machine: {_distinct((machine(run) for run in runs), '; ') or 'unknown'}",
    ]


def machine(run: RunRecord) -> str:
    """Returns device, host, memory and JAX: `NVIDIA H200 (AMD EPYC, 16 cores, 128 GiB), jax 1.0`."""
    name, processor, memory = device(run), host(run), run.hardware.get("memory_bytes")
    size = f"{memory / 2**30:,.0f} GiB" if isinstance(memory, int | float) else ""
    around = ", ".join(part for part in ("" if processor in name else processor, size) if part)
    known = " ".join(part for part in (name, f"({around})" if around else "") if part)
    version = run.software.get("jax")
    return f"{known}, jax {version}" if known and version else known


def intervals(table: Table) -> str:
    """Returns what a table is ranked by, and how to read it."""
    ranked = [row for row in table.rows if row.rank]
    if not ranked:
        return "No run completed."
    spoken = tasks.find(table.group.task).spoken
    if all(row.seeds == 1 for row in ranked):
        return f"Ranked by {spoken}: one seed, no interval.{_certainty(table)}"
    text = (
        f"Ranked by {spoken}, the mean over seeds ± half the width of its 95% t-interval. `To leader` "
        "is the mean difference from the first row over the seeds that both have. Models share a rank "
        "if the interval of their difference from the first of that rank spans 0."
    )
    if any(row.seeds == 1 for row in ranked):
        text += " A mean without ±: one seed, no interval."
    scores = [row.score for row in ranked] + [row.to_leader for row in ranked]
    if any(each and each.count > 1 and each.interval is None for each in scores):
        text += (
            " Over several seeds, no ± means that all are equal, which is no interval and tells "
            "no two models apart."
        )
    return text + _certainty(table)


def _certainty(table: Table) -> str:
    """Returns how to read the columns of `results.rankings.standings`; nothing where they are empty."""
    ranked = [row for row in table.rows if row.rank]
    drawn = ranked[0].standings()
    if not drawn.of:
        return ""
    several = any(row.seeds > 1 for row in ranked)
    examples = f"{drawn.examples:,} test examples" if drawn.examples else ""
    text = (
        f" `First %` is how often a model comes first in {drawn.samples:,} bootstrap samples over "
        f"{' and '.join(filter(None, (examples, 'seeds' if several else '')))}, `rank 95%` the places it "
        "takes in 95% of them."
    )
    if any(row.seeds == 1 and row.standing for row in ranked):
        text += " With one seed, this is about these weights and not about the models."
    if drawn.examples and drawn.without_examples:
        names = dict.fromkeys(model for model, _ in drawn.without_examples)
        text += f" Without predictions of the same examples: {_distinct(names, ', ')}."
    return text


def failures(table: Table) -> list[tuple[str, str]]:
    """Returns the model and what happened for each row with a failed run."""
    return [(row.model, _failure(row)) for row in table.rows if row.outcome != "completed"]


def _failure(row: Row) -> str:
    if not row.errors:
        return row.outcome
    more = f" (and {len(row.errors) - 1} other errors)" if len(row.errors) > 1 else ""
    error = row.errors[0]
    return f"{row.outcome}. {error if len(error) <= 200 else error[:197] + '...'}{more}"


def _split(name: str, examples: int | None) -> str:
    return f"{name} ({examples:,} examples)" if examples is not None else name


def _distinct(texts: Iterable[str], separator: str = " or ") -> str:
    different = sorted(set(texts) - {""})
    more = len(different) - _MOST_NAMED
    shown = different[:_MOST_NAMED] + ([f"{more} more"] if more > 0 else [])
    return separator.join(shown)
