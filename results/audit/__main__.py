"""Says of submitted runs what can be believed: works out again what can be, and gives each claim a verdict.

    python -m results.audit BUNDLE_OR_DIR...
    python -m results.audit BUNDLE.zip --rules=board.toml --rerun_steps=50

Each argument is a bundle (`results.submit` writes them), a folder of runs, or a folder of bundles. A claim is
`verified` if it follows from code, data, weights or steps that were run here, `consistent` if it agrees with the rest
of the submission, `not checked`, or `contradicted`; docs/auditing.md has the levels, and which cheats no audit finds.
Nothing in a bundle is executed or unpickled. Exit status: 0 if nothing is contradicted, 1 if something is, or 2 where a
submission cannot be read and nothing else is contradicted.
"""

import json
from collections.abc import Sequence

from absl import flags

from isobudget import command
from results import RecordError, bundles, rules
from results.audit import CONTRADICTED, Auditor, options, report


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "rules", None, "The rules of the board that they are submitted to, a board.toml."
    )
    options.define_flags()
    flags.DEFINE_boolean("brief", False, "Print only the claims that are contradicted.")
    flags.DEFINE_boolean("json", False, "Print JSON in place of lines.")


def main(paths: Sequence[str]) -> int:
    """Prints the verdicts and returns the exit status."""
    given = flags.FLAGS
    if not paths:
        raise RecordError("say what to audit: python -m results.audit BUNDLE_OR_DIR...")
    board = rules.read(given.rules) if given.rules else None
    auditor = Auditor(options.from_flags(board))
    contradicted = unreadable = False
    if given.json:
        print(report.json_head())
    for number, audit in enumerate(auditor.audits(bundles.discover(paths))):
        unreadable |= bool(audit.problem)
        contradicted |= not audit.problem and audit.verdict == CONTRADICTED
        if given.json:
            print("," * (number > 0) + json.dumps(report.to_plain(audit)), flush=True)
        else:
            print("\n".join(report.lines(audit, given.brief)), flush=True)
    contradicted |= any(claim.verdict == CONTRADICTED for claim in auditor.together)
    if given.json:
        print(report.json_tail(auditor.together))
    else:
        for claim in auditor.together:
            print(report.claim_line(claim))
    if contradicted:
        return 1
    return command.MISTAKE_STATUS if unreadable else 0


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
