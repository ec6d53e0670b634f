"""Makes a finished run smaller as Deep Compression does it (Han et al. 2015), and evaluates it after each stage.

    python -m benchmarks.compress --workdir=runs/digits/runs/squeezenet1_1-seed0

The smallest weights of each kernel are set to 0, the others trained further, and then replaced by few values that
k-means finds, which are stored in Huffman's code. Accuracy and bytes are printed for each stage, and kept in
RUN/evaluations/, where the tables and results.claims find them (docs/results.md).
"""

from absl import flags

from benchmarks.cli import command
from benchmarks.compress.run import Stage, compress
from benchmarks.errors import DivergedError
from benchmarks.machine import startup
from isobudget import terminal
from isobudget.errors import UserError


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_string("workdir", None, "The folder of a finished run.", required=True)
    flags.DEFINE_float(
        "sparsity",
        0.67,
        "The fraction of each kernel's weights, the smallest ones, that is set to 0. With 0 nothing is pruned.",
    )
    flags.DEFINE_list(
        "bits",
        ["8", "6"],
        "The bits of a kept weight, from 2 to 16, separated by commas; each is a result of its own.",
    )
    flags.DEFINE_integer(
        "retrain_examples",
        None,
        "How many examples to train on after pruning, repeats counted. By default as many as the run; 0 leaves it out.",
        lower_bound=0,
    )
    flags.DEFINE_float(
        "rate_factor",
        0.1,
        "The peak of the learning rate in this training, as a fraction of the run's own.",
    )
    flags.DEFINE_string(
        "data_dir", None, "The directory of prepared datasets. By default the run's."
    )


def main() -> None:
    startup.restart_with_allocator()
    startup.use_compilation_cache()
    given = flags.FLAGS
    stages = compress(
        given.workdir,
        sparsity=given.sparsity,
        bits=_bits(given.bits),
        retrain_examples=given.retrain_examples,
        rate_factor=given.rate_factor,
        data_dir=given.data_dir,
    )
    try:
        told = list(stages)
    except DivergedError as error:
        raise UserError(f"retraining failed: {error}") from None
    _print(told)


def _bits(texts: list[str]) -> tuple[int, ...]:
    try:
        return tuple(map(int, filter(None, texts)))
    except ValueError:
        raise UserError(f"--bits are whole numbers, not {','.join(texts)}.") from None


def _print(stages: list[Stage]) -> None:
    headings = ["stage", f"{stages[0].metric} %", "bytes", "times smaller", "before Huffman"]
    rows = []
    for stage in stages:
        made = stage.compression
        rows.append(
            [
                stage.name or "as trained",
                f"{100 * stage.score:.2f}",
                f"{made.bytes:,}",
                f"{made.dense_bytes / made.bytes:.1f}",
                f"{made.fixed_bytes:,}",
            ]
        )
    columns = terminal.columns(headings, left=("stage",), keys=("stage",))
    terminal.print_table(terminal.console(), columns, rows)


if __name__ == "__main__":
    command.run(main, define_flags)
