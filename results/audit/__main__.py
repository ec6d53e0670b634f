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
from isobudget.errors import UserError
from results import RecordError, bundles, rules
from results.audit import CONTRADICTED, Auditor, Options, report


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string(
        "rules", None, "The rules of the board that they are submitted to, a board.toml."
    )
    flags.DEFINE_boolean(
        "models",
        True,
        "Also check what needs the models, the data or JAX: parameters, MACs, FLOPs, learning rates, labels, and"
        " weights that are in the bundle.",
    )
    flags.DEFINE_integer(
        "rerun_steps", 0, "Run so many of the first steps of each run again and compare the losses."
    )
    flags.DEFINE_string(
        "data_dir", None, "The directory of prepared datasets. By default that of TFDS."
    )
    flags.DEFINE_list(
        "plugins",
        [],
        "Modules that you trust, with commas between them, which define models or data of the runs. No others are"
        " imported, whatever a record names.",
    )
    flags.DEFINE_float("patience", 600.0, "Seconds after which the answer on a run is given up.")
    flags.DEFINE_boolean("brief", False, "Print only the claims that are contradicted.")
    flags.DEFINE_boolean("json", False, "Print JSON in place of lines.")


def main(paths: Sequence[str]) -> int:
    """Prints the verdicts and returns the exit status."""
    given = flags.FLAGS
    if not paths:
        raise RecordError("say what to audit: python -m results.audit BUNDLE_OR_DIR...")
    if given.rerun_steps < 0 or not given.patience > 0:
        raise UserError("--rerun_steps is a number from 0, and --patience one above 0.")
    options = Options(
        board=rules.read(given.rules) if given.rules else None,
        with_models=given.models,
        data_dir=given.data_dir,
        rerun_steps=given.rerun_steps,
        plugins=given.plugins,
        patience=given.patience,
    )
    auditor = Auditor(options)
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
