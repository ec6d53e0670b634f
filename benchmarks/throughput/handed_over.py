"""A model's setup, as one process hands it over to another that measures it."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.config import stored
from benchmarks.config.setup import Setup
from benchmarks.machine import memory
from benchmarks.runs import validation
from benchmarks.runs.folder import CONFIG_FILE, as_text
from isobudget.errors import UserError


@contextlib.contextmanager
def request(setup: Setup) -> Iterator[dict[str, Any]]:
    """Gives what a request says of a setup: `config`, the path of its configuration, and `num_logits`.

    The file is gone at the end.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG_FILE
        path.write_text(as_text(stored.to_plain(setup.config)))
        yield {"config": str(path), "num_logits": setup.num_logits}


def setup_of(request: Mapping[str, Any]) -> Setup:
    """Returns the setup that a request hands over."""
    config = stored.load(Path(request["config"]))
    return validation.checked(config, request["num_logits"])


@contextlib.contextmanager
def out_of_memory_told(setup: Setup) -> Iterator[None]:
    """Turns an error for want of memory into one sentence.

    Raises:
      UserError: the model does not fit.
    """
    try:
        yield
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
        raise UserError(
            f"{setup.model} is out of memory with a batch of {setup.config.batch_size} at {setup.image_size} pixels."
        ) from error
