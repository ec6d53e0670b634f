"""Level b: runs that should differ and do not: the same training handed in under several seeds, models or budgets."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from isobudget.wording import quoted
from results.audit.verdicts import CONTRADICTED, Claim
from results.bundles.runs import SubmittedRun

_LEVEL = "b"
# Confidences that are all 1 are those of any model that has learned everything.
_LEAST_DISTINCT = 10


@dataclass(frozen=True)
class Fingerprint:
    """What tells one training from another, small enough to keep of each of many runs.

    Attributes:
      training: what was asked for, other than evaluation; runs that agree in it may be one.
      where: the submission and the run, for sentences.
      marks: (what, digest) of weights, predictions and losses.
    """

    training: str
    where: str
    marks: tuple[tuple[str, str], ...]


@dataclass
class Seen:
    """The fingerprints of the runs so far."""

    _first: dict[tuple[str, str], Fingerprint] = field(default_factory=dict)

    def claims(self, each: Fingerprint) -> Iterator[Claim]:
        """Yields a contradiction if an earlier run is the same training under another name."""
        told = False
        for mark in each.marks:
            first = self._first.setdefault(mark, each)
            if first.training != each.training and not told:
                told = True
                reason = f"it has the {mark[0]} of {first.where}, which asks for another training."
                yield Claim(_LEVEL, "distinct", CONTRADICTED, reason)

    def original(self, each: Fingerprint) -> Fingerprint | None:
        """Returns the earlier run that this one is a copy of, the same training and the same in every mark."""
        firsts = [self._first.get(mark) for mark in each.marks]
        first = firsts[0] if firsts else None
        copied = first is not None and all(other is first for other in firsts)
        return first if copied and first and first.training == each.training else None


def fingerprint(run: SubmittedRun, where: str) -> Fingerprint:
    """Returns the fingerprint of a run.

    Args:
      run: the run.
      where: the submission that it is in.
    """
    record = run.record
    # Other fields may differ and the training be the same, such as a rate that is said in another place.
    training = (
        record.model.name, record.model.parameters, record.seed, record.budget.steps, record.budget.batch_size,
        record.dataset.name, record.dataset.train_split,
    )  # fmt: skip
    marks = []
    if record.status == "completed":
        if record.weights_digest:
            marks.append(("weights", record.weights_digest))
        arrays = run.predictions.get("test", {})
        values = arrays.get("confidence", arrays.get("logits"))
        if values is not None and len(np.unique(values)) >= _LEAST_DISTINCT:
            marks.append(("predictions", hashlib.sha256(values.tobytes()).hexdigest()))
    losses = repr([line["train/loss"] for line in run.log if "train/loss" in line])
    if losses != "[]" and len(losses) > 60:
        marks.append(("losses", hashlib.sha256(losses.encode()).hexdigest()))
    name = f"{quoted(run.run_id)} in {where}"
    return Fingerprint(repr(training), name, tuple(marks))
