"""Keeps a board: a leaderboard of bundles that others submit, each audited before it gets a row.

    python -m results.board init DIR --rules=board.toml
    python -m results.board add BUNDLE... --board=DIR --by=NAME
    python -m results.board build --board=DIR --out=DIR/site

`init` makes a board with these rules (docs/auditing.md). `add` audits bundles, refuses those that are contradicted, and
keeps the others with the audit's report. `build` writes static pages: rankings, history, a page for each row and each
report, a feed, and all of it as JSON. Two boards are merged by copying what is in the `bundles` of one to the other.
docs/boards.md has the rest. Exit status: 0; 1 if a bundle is refused; or 2 for a mistake.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from isobudget import command
from isobudget.wording import escaped, quoted, quoted_path
from results import RecordError, board, output, page
from results.audit import options, report
from results.board import accepting, entries, kept, layout

_ACTIONS = ("init", "add", "build")


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("board", ".", "The folder of the board, of `add` and `build`.")
    flags.DEFINE_string("rules", None, "For `init`: the rules of the board, a board.toml.")
    flags.DEFINE_boolean(
        "workflow", False, "For `init`: also write .github/workflows/board.yml (docs/boards.md)."
    )
    flags.DEFINE_string("by", "", "For `add`: who submits the bundles.")
    flags.DEFINE_string(
        "date", None, "For `add`: when they are accepted, ISO 8601. By default now."
    )
    flags.DEFINE_string("out", None, "For `build`: the folder of the pages, by default site.")
    flags.DEFINE_string(
        "url", "", "For `build`: where the pages will lie, for the feed's addresses."
    )
    flags.DEFINE_boolean("bundles", False, "For `build`: also put the bundles beside the pages.")
    flags.DEFINE_boolean("brief", False, "For `add`: print only the claims that are contradicted.")
    options.define_flags()


def main(arguments: Sequence[str]) -> int:
    """Does what the first argument says, and returns the exit status."""
    action, *rest = arguments or ("",)
    try:
        if action == "init" and len(rest) == 1:
            return _init(Path(rest[0]))
        if action == "add" and rest:
            return _add(Path(flags.FLAGS.board), [Path(each) for each in rest])
        if action == "build" and not rest:
            return _build(Path(flags.FLAGS.board))
    except OSError as error:
        where = quoted_path(error.filename) if error.filename else "the board"
        raise RecordError(f"{where} cannot be written ({error.strerror or error}).") from None
    if action not in _ACTIONS:
        named = f"not {quoted(action)}" if action else "such as: python -m results.board build"
        raise RecordError(f"say what to do: init, add or build, {named}.")
    raise RecordError(
        "init takes the folder of the board, add the bundles, and build nothing; see --help."
    )


def _init(folder: Path) -> int:
    given = flags.FLAGS
    if not given.rules:
        raise RecordError("say by which rules: --rules=board.toml (docs/auditing.md).")
    rules = board.create(folder, Path(given.rules), given.workflow)
    print(f"{escaped(rules.title)}: a board in {folder}")
    return 0


def _add(folder: Path, bundles: Sequence[Path]) -> int:
    given = flags.FLAGS
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    acceptance = kept.acceptance(given.by, now if given.date is None else given.date)
    how = options.from_flags(entries.read_rules(folder))
    known = accepting.fingerprints(folder)
    status = 0
    for bundle in bundles:
        name = escaped(str(bundle))
        outcome = board.accept(folder, bundle, how, acceptance, known)
        if outcome.audit is None:
            print(f"{name}: is on the board already, as {outcome.digest[:12]}")
            continue
        print("\n".join(report.lines(outcome.audit, given.brief)))
        if outcome.accepted:
            known += kept.fingerprints_of(outcome.audit, outcome.digest)
            print(f"{name}: accepted, as {outcome.digest[:12]}", flush=True)
        else:
            status = 1
            print(f"{name}: refused", flush=True)
    return status


def _build(folder: Path) -> int:
    given = flags.FLAGS
    out = folder / layout.SITE if given.out is None else Path(given.out)
    with page.without_garbage_collection():
        loaded = board.load(folder)
        rows = board.write(loaded, folder, out, url=given.url, bundles=given.bundles)
    output.name_left_out(loaded.problems)
    bundles = len(loaded.entries)
    print(
        f"{rows:,} row{'' if rows == 1 else 's'} of {bundles:,} bundle{'' if bundles == 1 else 's'} in"
        f" {out / 'index.html'}"
    )
    return 0


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
