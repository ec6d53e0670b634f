"""Keras's files: `.h5` of Keras 1 and 2, `.weights.h5` and `.keras` of Keras 3, read in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors import safe_open

from models.weight_files import keras_program
from models.weight_files.source import Source, WeightFileError, need


def read(path: Path) -> Source:
    """Returns the tensors of Keras's layers, as `layer/variable`.

    Raises:
      WeightFileError: it is damaged, or no file of Keras's.
      OSError: it cannot be read.
    """
    need("h5py")
    open(path, "rb").close()  # for what the system says of a file that cannot be read
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tensors.safetensors"
        done = subprocess.run(
            # Without the program's folder on the path, where modules are called like the libraries of other formats.
            [sys.executable, "-P", keras_program.__file__, path, out],
            capture_output=True,
            text=True,
            # The limit of memory leaves no room for the threads of a library that multiplies matrices.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        if done.returncode == keras_program.REFUSED:
            raise WeightFileError(done.stderr.strip())
        if done.returncode:
            raise WeightFileError(
                "HDF5 cannot read it, so it is damaged; download or copy it again"
            )
        with safe_open(out, framework="np") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Source(
        "Keras",
        {"": tensors},
        keras="named" if metadata["layers"] == "named" else "counted",
        options=json.loads(metadata["options"]),
    )
