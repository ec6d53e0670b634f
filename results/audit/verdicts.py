"""The verdicts of an audit, on each claim and on each run."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["verified", "consistent", "not checked", "contradicted"]

VERIFIED: Verdict = "verified"
CONSISTENT: Verdict = "consistent"
NOT_CHECKED: Verdict = "not checked"
CONTRADICTED: Verdict = "contradicted"
VERDICTS = (VERIFIED, CONSISTENT, NOT_CHECKED, CONTRADICTED)

LEVELS = {
    "a": "the files are whole and of this schema",
    "b": "what follows from the predictions, the log and the configuration",
    "c": "the test examples and their labels are the dataset's",
    "d": "the weights, evaluated again",
    "e": "the first steps, run again",
    "f": "the rules of a board",
}


@dataclass(frozen=True)
class Claim:
    """What a submission says, and whether it can be believed.

    Attributes:
      level: of the audit, a key of `LEVELS`.
      name: of what is claimed, such as `metrics.test.top1`.
      verdict: `verified` if it follows from what the submitter did not choose (the code, the data here, weights that
        were evaluated here, steps that were run here); `consistent` if it agrees with the rest of the submission.
      reason: one sentence on why.
    """

    level: str
    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class RunAudit:
    """The audit of one run.

    Attributes:
      run_id: of the run.
      model: its name with its options, and its seed.
      claims: in the order of their levels.
      primary: the metric that rankings go by.
    """

    run_id: str
    model: str
    claims: tuple[Claim, ...]
    primary: str = ""

    @property
    def verdict(self) -> Verdict:
        """Of the run: contradicted if any claim is, otherwise the best of those on the metric that ranks it."""
        return overall(self.claims, self.primary)


def overall(claims: Iterable[Claim], primary: str) -> Verdict:
    """Returns the verdict on a run.

    Args:
      claims: all of them.
      primary: the metric of the test split that rankings go by.
    """
    claims = tuple(claims)
    if any(claim.verdict == CONTRADICTED for claim in claims):
        return CONTRADICTED
    of_primary = {each.verdict for each in claims if each.name == f"metrics.test.{primary}"}
    return next((each for each in (VERIFIED, CONSISTENT) if each in of_primary), NOT_CHECKED)


def agree(
    level: str,
    name: str,
    claimed: Any,
    computed: Any,
    basis: str,
    *,
    relative: float = 1e-6,
    verdict: Verdict = CONSISTENT,
) -> Claim:
    """Returns the claim that a value is what `basis` gives.

    Args:
      level: of the audit.
      name: of what is claimed.
      claimed: what the record says.
      computed: what it should be.
      basis: where that comes from, such as `the predictions`.
      relative: by how much of itself a number may be off.
      verdict: if they agree.
    """
    if same(claimed, computed, relative):
        return Claim(level, name, verdict, f"{text(claimed)}, as {basis} give{_s(basis)}.")
    return Claim(
        level,
        name,
        CONTRADICTED,
        f"the record says {text(claimed)}, and {basis} give{_s(basis)} {text(computed)}.",
    )


def same(claimed: Any, computed: Any, relative: float = 1e-6) -> bool:
    """Returns whether two values agree: numbers to within rounding, and NaN with NaN."""
    numbers = all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in (claimed, computed)
    )
    if not numbers:
        return bool(claimed == computed)
    if math.isnan(claimed) or math.isnan(computed):
        return math.isnan(claimed) and math.isnan(computed)
    return math.isclose(claimed, computed, rel_tol=relative, abs_tol=1e-12)


def text(value: Any) -> str:
    """Returns a value for a sentence."""
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "nothing" if value is None else str(value)


def _s(basis: str) -> str:
    """Returns the ending of the verb whose subject is `basis`."""
    plural = basis.split(" of ")[0].split(" in ")[0].endswith("s")
    return "" if plural else "s"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Returns the verdict on several runs together."""
    for each in (CONTRADICTED, NOT_CHECKED, CONSISTENT):
        if each in verdicts:
            return each
    return VERIFIED if verdicts else NOT_CHECKED
