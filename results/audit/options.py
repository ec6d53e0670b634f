"""How submissions are audited, and the flags that say it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from absl import flags

from isobudget.errors import UserError
from results import rules


@dataclass(frozen=True)
class Options:
    """How submissions are audited.

    Attributes:
      board: the rules that they are submitted to; None for none.
      with_models: whether to ask for what needs the models and the data, which takes JAX.
      data_dir: the directory of prepared datasets; None for TFDS's own.
      rerun_steps: how many of each run's first steps to run again; 0 for none.
      plugins: modules that may be imported for their models and datasets; no others are, whatever a record names.
      patience: seconds after which a run's answer is given up.
      workers: processes.
    """

    board: rules.Rules | None = None
    with_models: bool = True
    data_dir: str | None = None
    rerun_steps: int = 0
    plugins: Sequence[str] = ()
    patience: float = 600.0
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))


def define_flags() -> None:
    """Defines the flags that say how to audit, which `from_flags` reads."""
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


def from_flags(board: rules.Rules | None) -> Options:
    """Returns what the flags say.

    Args:
      board: the rules that runs are submitted to; None for none.

    Raises:
      UserError: a number makes no sense.
    """
    given = flags.FLAGS
    if given.rerun_steps < 0 or not given.patience > 0:
        raise UserError("--rerun_steps is a number from 0, and --patience one above 0.")
    return Options(
        board=board,
        with_models=given.models,
        data_dir=given.data_dir,
        rerun_steps=given.rerun_steps,
        plugins=given.plugins,
        patience=given.patience,
    )
