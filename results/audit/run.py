"""Audits of many submissions, on several cores, and what shows only when they are set side by side."""

import functools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from results import rules
from results.audit import submission
from results.audit.alike import Fingerprint, Seen
from results.audit.options import Options
from results.audit.submission import Audit
from results.audit.verdicts import CONTRADICTED, NOT_CHECKED, Claim
from results.bundles.with_models import Helper, NoAnswerError

_FEW = 8  # submissions, that are not worth the start of other processes


class Auditor:
    """Audits submissions; after the last, `together` has what shows only side by side."""

    def __init__(self, options: Options, seen: Seen | None = None):
        """
        Args:
          options: how to audit.
          seen: the fingerprints of runs that these must differ from; those of these are added to it.
        """
        self._options = options
        self._seen = Seen() if seen is None else seen
        self._rows: list[rules.Row] = []
        self.together: list[Claim] = []

    def audits(self, paths: Sequence[Path]) -> Iterator[Audit]:
        """Yields the audit of each submission, in order; little is kept of those that are done."""
        options = self._options
        with Helper(options.plugins, options.patience) as helper:
            for audit in self._plain(paths):
                if options.with_models and not audit.problem:
                    audit = _with_models(audit, options, helper)
                self._note(audit)
                yield audit
        if options.board is not None:
            self.together += [
                Claim("f", breach.rule, CONTRADICTED, breach.reason)
                for breach in rules.breaches_of_rows(options.board, self._rows)
            ]

    def _plain(self, paths: Sequence[Path]) -> Iterator[Audit]:
        audit = functools.partial(submission.audit, board=self._options.board)
        workers = min(self._options.workers, len(paths))
        if workers < 2 or len(paths) <= _FEW:
            yield from map(audit, paths)
            return
        # Not forked: this process may have threads.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from _in_order(pool.submit, audit, paths, ahead=4 * workers)

    def _note(self, audit: Audit) -> None:
        for fingerprint in audit.fingerprints:
            for claim in self._seen.claims(fingerprint):
                self.together.append(_about(fingerprint, claim))
        if self._options.board is not None:
            self._rows += audit.rows


def _about(fingerprint: Fingerprint, claim: Claim) -> Claim:
    return Claim(claim.level, claim.name, claim.verdict, f"{fingerprint.where}: {claim.reason}")


def _in_order(
    submit: Callable[..., "Future[Audit]"],
    audit: Callable[[Path], Audit],
    paths: Iterable[Path],
    ahead: int,
) -> Iterator[Audit]:
    """Yields results in order, with no more than `ahead` of them waiting."""
    waiting: deque[Future[Audit]] = deque()
    for path in paths:
        waiting.append(submit(audit, path))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _with_models(audit: Audit, options: Options, helper: Helper) -> Audit:
    """Returns the audit with what `benchmarks.audit` says of each of its runs."""
    for run in audit.runs:
        request = {
            "do": "audit",
            "path": str(audit.path.absolute()),
            "run_id": run.run_id,
            "data_dir": options.data_dir,
            "rerun_steps": options.rerun_steps,
        }
        try:
            answer = helper.ask(request)
            claims = tuple(Claim(**each) for each in answer)
        except NoAnswerError as error:
            claims = (Claim("b", "models", NOT_CHECKED, str(error)),)
        audit = submission.with_more(audit, run.run_id, claims)
    return audit
