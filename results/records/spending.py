"""What a run spent, against what its budget allowed."""

from results.records.schema import RunRecord

# A run further off than this, either way, is said to be off its budget.
TOLERANCE = 0.05


def budget_spent(run: RunRecord) -> float | None:
    """Returns what the run spent in the unit of its budget's kind."""
    budget = run.budget
    if budget.kind == "epochs":
        examples, split = budget.examples_spent, run.dataset.train_examples
        return examples / split if examples is not None and split else None
    spent = {
        "examples": budget.examples_spent,
        "flops": budget.train_flops_spent,
        "seconds": budget.train_seconds_spent,
    }
    return spent.get(budget.kind)


def deviation(run: RunRecord) -> float | None:
    """Returns (spent - allowed) / allowed; None where either is not known."""
    allowed, spent = run.budget.amount, budget_spent(run)
    return (spent - allowed) / allowed if spent is not None and allowed > 0 else None


def worst_deviation(runs: tuple[RunRecord, ...]) -> float | None:
    """Returns the deviation that is furthest from 0; None where none is known."""
    known = [off for off in map(deviation, runs) if off is not None]
    return max(known, key=lambda off: (abs(off), off), default=None)


def remark(runs: tuple[RunRecord, ...]) -> str:
    """Returns `7% over budget` of the run that is furthest off, and `beside 1 other run` of the one with the most.

    It is empty where all kept to their budget, and none is known to have shared its host.
    """
    parts = []
    off = worst_deviation(runs)
    if off is not None and abs(off) > TOLERANCE:
        parts.append(f"{abs(off):.0%} {'over' if off > 0 else 'under'} budget")
    others = max((run.concurrent_runs or 1 for run in runs), default=1) - 1
    if others:
        parts.append(f"beside {others} other run{'s' if others > 1 else ''}")
    return ", ".join(parts)


def tuning_trials(run: RunRecord) -> int | None:
    """Returns how many trials each model was tuned with; None where the record does not say."""
    trials = run.config.get("tuning_trials")
    return trials if isinstance(trials, int) else None


def input_wait_share(run: RunRecord) -> float | None:
    """Returns the fraction of the seconds of training that went by waiting for a batch."""
    waited, trained = run.timings.input_wait_seconds, run.timings.train_seconds
    return waited / trained if waited is not None and trained else None


def unreadable_examples(run: RunRecord) -> int | None:
    """Returns how many examples of all splits could not be read; None in older records."""
    counts = run.unreadable_examples
    return None if counts is None else sum(counts.values())


def model_flops_utilization(run: RunRecord) -> float | None:
    """Returns the model's training FLOPs per second as a fraction of the devices' peak.

    As in Chowdhery et al. 2022 (PaLM, arXiv:2204.02311), appendix B: what the model needs is
    counted, not what was executed, so work done twice (rematerialization) does not raise it. None
    where the peak is not known.
    """
    flops, seconds = run.budget.train_flops_spent, run.timings.train_seconds
    peak = run.hardware.get("peak_flops_per_second")
    devices = run.hardware.get("device_count") or 1
    if not flops or not seconds or not isinstance(peak, int | float) or peak <= 0:
        return None
    return flops / seconds / (peak * devices)
