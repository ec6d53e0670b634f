"""Lists the commands; `isobudget COMMAND ...` runs one of them, as `python -m PACKAGE.COMMAND ...` does."""

import difflib
import runpy
import sys

from isobudget.command import MISTAKE_STATUS, printed
from isobudget.wording import quoted

# What each does, in the order in which people meet them.
COMMANDS = {
    "suite": ("benchmarks.suite", "Train every model under one budget and write the leaderboard."),
    "train": ("benchmarks.train", "Train and evaluate one model, or resume where it stopped."),
    "tune": ("benchmarks.tune", "Give every model the same number of tuning trials."),
    "reproduce": ("benchmarks.reproduce", "Run a row of a leaderboard again and compare."),
    "evaluate": ("benchmarks.evaluate", "Evaluate a trained or published model on any split."),
    "recognize": ("benchmarks.recognize", "Label pictures, with a confidence for each label."),
    "explain": ("benchmarks.explain", "Show what each stage of a network has learned."),
    "calibrate": ("benchmarks.calibrate", "Fit the temperature of a run's confidences."),
    "mistakes": ("benchmarks.mistakes", "Draw a run's most confident mistakes."),
    "export": ("benchmarks.export", "Write a model as a file that runs without isobudget."),
    "plan": ("benchmarks.plan", "Say what models need of accelerators that are not here."),
    "throughput": ("benchmarks.throughput", "Measure speed, latency, memory and compile time."),
    "compress": (
        "benchmarks.compress",
        "Prune, retrain and quantize a run, and evaluate each stage.",
    ),
    "convolutions": (
        "benchmarks.convolutions",
        "Time this project's CPU convolutions against XLA's.",
    ),
    "leaderboard": ("results.leaderboard", "Make tables, figures and the page from records."),
    "compare": ("results.compare", "Compare two leaderboards row by row."),
    "claims": ("results.claims", "Check statements of the literature against your records."),
    "submit": ("results.submit", "Pack runs as a bundle that others can audit."),
    "audit": ("results.audit", "Say what of submitted runs can be believed."),
    "board": ("results.board", "Keep a leaderboard that anybody can submit bundles to."),
    "confusions": ("results.confusions", "Show which classes a run mistakes for which."),
    "summary": ("models.summary", "List a model's layers, shapes, parameters and MACs."),
    "pretrained": (
        "models.pretrained",
        "Convert published weights, and weights back for publishing.",
    ),
    "prepare": ("input_pipeline.prepare", "Write a TFDS dataset to disk, shrink it, or check it."),
    "preview": ("input_pipeline.preview", "Draw what a model is fed, augmentation included."),
}


def main() -> int:
    """Runs the command that the command line names; without one, lists them all."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        return printed(_print_usage)
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else "see isobudget --help."
        print(f"error: there is no command {quoted(name)}: {hint}", file=sys.stderr)
        return MISTAKE_STATUS
    sys.argv = [f"isobudget {name}", *arguments]
    runpy.run_module(COMMANDS[name][0], run_name="__main__", alter_sys=True)
    return 0


def _print_usage() -> int:
    print(usage())
    return 0


def usage() -> str:
    """Returns the list of commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = (f"  {name:<{width}}  {line}" for name, (_, line) in COMMANDS.items())
    return "\n".join(
        (
            "isobudget compares image-recognition architectures at the same budget.",
            "",
            "  isobudget COMMAND --help    what a command does, and its flags",
            "",
            *lines,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
