"""What the programs hold that models become on accelerators, none of which is here.

`pytest -m accelerators -n 0` compiles every model (docs/testing.md); two small ones are among the ordinary tests where
libtpu, or JAX's CUDA plugin, is installed. Programs are kept, so that a run which was stopped goes on.
"""

import itertools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import models
from benchmarks.config.fields import default_config
from benchmarks.configs import imagenet
from benchmarks.errors import ConfigError
from benchmarks.machine import collectives, traffic
from benchmarks.machine.mesh import create_mesh
from benchmarks.plan import run, targets
from benchmarks.plan.programs import Compiler, Job, Program
from benchmarks.runs import validation
from benchmarks.steps.abstract import abstract_state
from models import layers

_IMAGES = 32  # on a device
_SIDE = 64
# Of the bytes of gradients, XLA exchanges so many at once, or more.
_TOGETHER = 30 * 2**20
# Maps of no more pixels a side may be transposed: dense layers take them in the order of the published weights, and XLA
# does so for the gradients of a few kernels.
_SMALL = 7
_VARIANTS = (
    "mobilenet_v1:padding=torch,width=0.25",
    "mobilenet_v2:padding=tensorflow",
    "vgg16:dropout=0.0",
)
_TARGETS = {("tpu", 8): "v5e:2x4", ("tpu", 1): "v5e:1x1", ("gpu", 8): "h100:8", ("gpu", 1): "h100"}


@pytest.fixture(scope="session")
def compiler():
    with Compiler() as compiler:
        yield compiler


def _installed(target: str) -> targets.Target:
    devices = targets.parse(target)
    try:
        devices.check_installed()
    except ConfigError as error:
        pytest.skip(str(error))
    return devices


def _job(spec: str, target: str, dtype: str, scope: str, step: str) -> Job:
    devices = _installed(target)
    config = default_config()
    config.model, config.dtype, config.batch_norm_scope = spec, dtype, scope
    config.batch_size = config.eval_batch_size = _IMAGES * devices.devices
    config.image_size = str(max(_SIDE, models.info(spec).min_size))
    if spec == "tiny":
        config.plugins, config.image_size = ("tiny_model",), "32"
    setup = validation.checked(config, 1000)
    jobs = run.jobs([setup], devices)
    return next(job for job in jobs if job.step == step)


def _check(job: Job, program: Program) -> None:
    assert not program.problem
    assert program.memory_bytes < job.target.usable_bytes
    if job.setup.config.dtype == "bfloat16":
        small = _products_of_statistics(job) if job.step == "training" else set()
        wide = {each for each in _convolutions(program.text) if each.dtypes != {"bf16"}}
        assert {each for each in wide if each.sides not in small} == set()
    else:
        assert not any("bf16" in each.dtypes for each in _convolutions(program.text))
    assert list(_transposed_activations(program.text)) == []
    if job.step == "training":
        _check_state_is_donated(job, program)
        _check_training_collectives(job, program)
    else:
        _check_evaluation_collectives(job, program)


def _check_state_is_donated(job: Job, program: Program) -> None:
    state = abstract_state(job.setup, create_mesh(jax.devices()[:1]))
    aliases = re.findall(r"\{\d+\}: \(\d+, \{\}, may-alias\)", program.text.split("\n", 1)[0])
    assert len(aliases) == len(jax.tree.leaves(state))


def _check_training_collectives(job: Job, program: Program) -> None:
    exchanged = collectives.of_program(program.text)
    if job.target.devices == 1:
        assert exchanged == {}
        return
    assert set(exchanged) == {"all-reduce"}
    gradients, channels, norms = _trained(job)
    size = 2 if job.setup.config.dtype == "bfloat16" else 4
    if job.setup.config.batch_norm_scope == "global":
        # Batch norm sums two values for each channel, forward and backward; the latter are its gradients.
        expected = size * (gradients - 2 * channels) + 4 * 4 * channels
        for inputs, features in _folded(job):
            # Means and products of the inputs' channels, sums of the gradient, and the kernel's gradient.
            instead = 4 * (inputs + inputs**2 + features + inputs * features)
            expected += instead - size * inputs * features - 4 * 4 * features
        # The loss and the accuracy; gradients; and each layer's statistics.
        most = 2 + 2 + 2 * norms
    else:
        # Gradients are float32 already, as are the running statistics.
        expected, most = 4 * gradients + 4 * 2 * channels, 8
    most += expected // _TOGETHER
    told = exchanged["all-reduce"]
    assert told.bytes == pytest.approx(expected, rel=0.01, abs=4096)
    assert told.count <= most


def _check_evaluation_collectives(job: Job, program: Program) -> None:
    """What is predicted for each image goes to all devices, and nothing else does."""
    exchanged = collectives.of_program(program.text)
    if job.target.devices == 1:
        assert exchanged == {}
        return
    assert set(exchanged) <= {"all-gather", "all-reduce"}
    assert sum(each.bytes for each in exchanged.values()) <= program.output_bytes


def _trained(job: Job) -> tuple[int, int, int]:
    """Returns how many (parameters, channels with batch norm, layers of batch norm) a model has."""
    state = abstract_state(job.setup, create_mesh(jax.devices()[:1]))
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state["params"]))
    statistics = jax.tree.leaves(state["batch_stats"])
    return parameters, sum(leaf.size for leaf in statistics) // 2, len(statistics) // 2


def _folded(job: Job) -> list[tuple[int, int]]:
    """Returns (inputs, features) of each 1x1 convolution that takes batch norm along in training."""
    config = job.setup.config
    model = models.create_abstract(config.model, 1000, dtype=jnp.dtype(config.dtype))
    image = jnp.zeros((), config.dtype)
    return [
        (module.in_features, module.out_features)
        for _, module in nnx.iter_modules(model)
        if isinstance(module, layers.Conv) and layers._folds_in_training(module, image)
    ]


def _products_of_statistics(job: Job) -> set[frozenset[int]]:
    """Returns the sides of the matrices whose products batch norm takes of channels, in float32, instead of of maps."""
    return {
        frozenset(sides)
        for inputs, features in _folded(job)
        for sides in ((inputs, features), (inputs,))
    }


class _Convolution(NamedTuple):
    """The number types of a convolution's operands, and the sides of both if they are matrices."""

    dtypes: frozenset[str]
    sides: frozenset[int] | None


def _convolutions(text: str) -> Iterator[_Convolution]:
    """Yields each convolution; on a TPU a matrix product is one too."""
    for types, operation in _with_types(text):
        is_cudnn = operation.kind == "custom-call" and "__cudnn$conv" in operation.attributes
        if operation.kind == "convolution" or is_cudnn:
            operands = [types[name] for name in operation.operands[:2]]
            shapes = [_shape(each) for each in operands]
            matrices = all(len(shape) == 2 for shape in shapes)
            yield _Convolution(
                frozenset(map(_dtype, operands)),
                frozenset(itertools.chain(*shapes)) if matrices else None,
            )


def _transposed_activations(text: str) -> Iterator[str]:
    """Yields what orders the values of an activation with large maps anew in memory, other than the pictures' own."""
    for types, operation in _with_types(text):
        if operation.kind not in ("transpose", "copy"):
            continue
        shape = _shape(operation.type)
        # Of images, height, width and channels; a kernel has two small sides.
        if len(shape) == 4 and sorted(shape)[1] > _SMALL and 3 not in shape:
            before, after = types[operation.operands[0]], operation.type
            if operation.kind == "transpose" or _order(before) != _order(after):
                yield f"{operation.kind} {before} to {after}"


def _with_types(text: str) -> Iterator[tuple[dict[str, str], traffic.Operation]]:
    """Yields each operation, with the types of those before it in its computation by name."""
    types: dict[str, str] = {}
    for part in re.split(r"\n(?=\S)", text):
        types = {}
        for operation in traffic.operations(part):
            types[operation.name] = operation.type
            yield types, operation


def _dtype(text: str) -> str:
    return re.match(r"\(?(\w+)\[", text)[1]


def _shape(text: str) -> tuple[int, ...]:
    array = re.match(r"\(?\w+\[([\d,]*)\]", text)
    return tuple(int(side) for side in array[1].split(",") if side)


def _order(text: str) -> str:
    """Returns the order of an array's axes in memory, leaving out those of one element."""
    shape = _shape(text)
    layout = re.search(r"\]\{([\d,]*)", text)
    axes = layout[1].split(",") if layout and layout[1] else []
    return ",".join(axis for axis in axes if shape[int(axis)] > 1)


def _own_models() -> tuple[str, ...]:
    """Returns the registered models, without the tests' own."""
    return (*(name for name in models.names() if not name.startswith("tiny")), *_VARIANTS)


@pytest.mark.accelerators
@pytest.mark.parametrize("spec", _own_models())
@pytest.mark.parametrize("devices", [8, 1])
@pytest.mark.parametrize("scope", ["global", "device"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("platform", ["gpu", "tpu"])
@pytest.mark.parametrize("step", ["training", "evaluation"])
def test_a_model_becomes_a_sound_program(spec, devices, scope, dtype, platform, step, compiler):
    job = _job(spec, _TARGETS[platform, devices], dtype, scope, step)
    _check(job, compiler.compile(job))


@pytest.mark.accelerators
@pytest.mark.parametrize("spec", imagenet.get_config().suite.models)
@pytest.mark.parametrize(("target", "batch_size"), [("h100", 256), ("v5e:4x8", 1024)])
@pytest.mark.parametrize("step", ["training", "evaluation"])
def test_the_programs_of_the_published_plans_are_sound(spec, target, batch_size, step, compiler):
    config = imagenet.get_config()
    config.batch_size = config.eval_batch_size = batch_size
    devices = _installed(target)
    (setup,) = run.set_up(config, [spec], 1000, devices)
    job = next(job for job in run.jobs([setup], devices) if job.step == step)
    _check(job, compiler.compile(job))


@pytest.mark.parametrize("spec", ["tiny", "mobilenet_v1:width=0.25"])
@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_small_models_become_sound_programs(spec, platform, compiler):
    job = _job(spec, _TARGETS[platform, 8], "bfloat16", "global", "training")
    _check(job, compiler.compile(job))
