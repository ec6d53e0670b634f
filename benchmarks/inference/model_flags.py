"""The flags of commands that use trained weights: --workdir, or --weights with --model, and how they are fed."""

from absl import flags

from benchmarks.errors import ConfigError
from benchmarks.inference.trained_model import TrainedModel, from_run, from_weights
from models import weight_flags


def define() -> None:
    """Defines --workdir, or --weights with --model, and the flags that change how either is fed."""
    flags.DEFINE_string(
        "workdir",
        None,
        "The folder of a finished run whose weights are used. Give either this, or --weights.",
    )
    flags.DEFINE_string(
        "model",
        None,
        "The model that the file of --weights belongs to, written NAME or NAME:option=value,option=value. By default "
        "the one that is described beside the file (docs/weights.md).",
    )
    flags.DEFINE_string(
        "weights",
        None,
        "A file of weights that models.pretrained reads or has written, such as .pth or .safetensors. What is "
        "described beside it is used (docs/weights.md); for other files, say --model.",
    )
    weight_flags.define()


def trained_model(**changes) -> TrainedModel:
    """Returns the trained model that the command line names, fed as it says.

    Args:
      **changes: other fields of the configuration to change.

    Raises:
      ConfigError, CheckpointError, ModelError: as `from_run` and `from_weights`, or the flags name neither or both.
    """
    given = flags.FLAGS
    check()
    changes |= weight_flags.given()
    if given.workdir:
        return from_run(given.workdir, **changes)
    return from_weights(given.model, given.weights, **changes)


def check() -> None:
    """Raises `ConfigError` unless the command line names either a run or a file of weights."""
    given = flags.FLAGS
    if bool(given.workdir) == bool(given.weights) or (given.workdir and given.model):
        raise ConfigError(
            "say --workdir, or --model and --weights; --weights alone if they are described."
        )
