"""What the tests of models share: seeded weights and images, and a forward pass that compiles quickly."""

import functools
import types
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from models import pretrained
from models.summary import summarize

# Compiling dominates these tests, and nothing here is timed.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

_POOL = np.random.Generator(np.random.SFC64(0)).standard_normal(2**20, np.float32)


def seeded_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns values for a tensor of a torchvision state dict, which depend on its name and shape alone.

    They are cut from one pool of random numbers, so that the largest model takes a blink. Batch statistics are away
    from 0 and 1, and kernels keep activations near their size.
    """
    start = zlib.crc32(name.encode()) % _POOL.size
    values = np.roll(_POOL, -start)
    if name.endswith("running_var"):
        values = 1 + 0.5 * np.tanh(values)
    elif name.endswith("running_mean") or name.endswith("bias"):
        values = 0.1 * values
    elif len(shape) == 1:
        values = 0.8 + 0.2 * np.tanh(values)
    else:
        values = values / np.sqrt(np.prod(shape[1:])).astype(np.float32)
    tensor = np.empty(int(np.prod(shape)), np.float32)
    for begin in range(0, tensor.size, values.size):
        block = tensor[begin : begin + values.size]
        block[:] = values[: block.size]
    return tensor.reshape(shape)


def seeded_images(batch: int, size: int) -> np.ndarray:
    """Returns images [batch, size, size, 3] with a mean of about 0 and a deviation of about 1."""
    generator = np.random.Generator(np.random.SFC64([batch, size]))
    return generator.standard_normal((batch, size, size, 3), np.float32)


def seeded_model(spec: str, num_classes: int = 1000, **options) -> models.Classifier:
    """Returns a model whose parameters and batch statistics are seeded tensors."""
    model = models.create_abstract(spec, num_classes, **options)
    tensors = {name: seeded_tensor(name, shape) for name, shape in pretrained.shapes(model).items()}
    pretrained.assign(model, tensors)
    return model


def run(model: models.Classifier, function, *arguments):
    """Returns function(model, *arguments), compiled quickly."""
    graph, state = nnx.split(model)

    def pure(state, *arguments):
        return function(nnx.merge(graph, state, copy=True), *arguments)

    return jax.jit(pure, compiler_options=QUICK)(state, *map(jnp.asarray, arguments))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> str:
    """Where `command_here` has commands look for datasets; those of models read none."""
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def abstract():
    """`create_abstract` with 7 classes, cached for the tests that change nothing in the model."""
    return functools.cache(lambda name: models.create_abstract(name, 7))


@pytest.fixture(scope="session")
def summary_of():
    """`summarize`, cached so that each model is traced once."""
    return functools.cache(summarize)


@pytest.fixture(scope="session")
def quickly():
    """Calls a function of arrays, compiled quickly."""
    return lambda function, *arrays: jax.jit(function, compiler_options=QUICK)(*arrays)


@pytest.fixture(scope="session")
def seeded():
    return types.SimpleNamespace(
        images=seeded_images, model=seeded_model, tensor=seeded_tensor, run=run
    )


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder `shared` beside the repository, which holds weights that others trained, and pictures."""
    folder = Path(__file__).parents[3] / "shared"
    for name in ("weights", "data/imagenet_validation_650", "data/imagenet_synsets.txt"):
        if not (folder / name).exists():
            pytest.skip(f"needs {name} in the folder `shared` beside the repository")
    return folder
