"""What the time of a step goes to: the operations of the compiled program, by the layers that they come from."""

import collections
import dataclasses
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax

from benchmarks.config.setup import Setup
from benchmarks.errors import ConfigError
from benchmarks.throughput.ready_model import ReadyModel

_WARM_UP_STEPS = 2
_STEPS = 3
# What layers and the step name their operations by (`jax.named_scope`).
_SCOPES = (
    "convolution",
    "batch_norm",
    "relu",
    "max_pool",
    "average_pool",
    "local_response_norm",
    "dense",
    "dropout",
    "optimizer",
)
_OPERATION = re.compile(
    r'^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = .*?\bop_name="(?P<path>[^"]*)"', re.M
)
_WORDS = re.compile(r"\w+")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one kind of operation takes of a step.

    Operations that run at the same time each count whole. One that XLA fused of several layers' counts where its last
    part belongs.

    Attributes:
      kind: of the step, `train` or `infer`.
      device: its name.
      stage: `forward`, `backward`, or `step` for what is neither, such as the optimizer.
      layer: the layer, or the operation where it is no layer's.
      milliseconds: of a step.
      share: of all operations of the step; a fraction.
    """

    model: str
    image_size: int
    batch_size: int
    dtype: str
    kind: str
    device: str
    stage: str
    layer: str
    milliseconds: float
    share: float


def measure(setup: Setup) -> Iterator[Cost]:
    """Yields what a training step and an inference of a model spend their time on, the most first.

    Raises:
      ConfigError: the device's profiler tells nothing of operations.
    """
    ready = ReadyModel(setup)
    texts = {
        "train": ready.program.train_steps[setup.image_size].as_text(),
        "infer": ready.program.eval_step.as_text(),
    }
    for kind, step in ready.steps().items():
        nanoseconds = _traced(step)
        if not nanoseconds:
            raise ConfigError(
                f"JAX's profiler tells nothing of the operations of a {jax.devices()[0].device_kind}."
            )
        origins = _origins(texts[kind])
        by_origin: dict[tuple[str, str], float] = collections.defaultdict(float)
        for name, each in nanoseconds.items():
            stage, layer = origins.get(name, ("step", name.rstrip(".0123456789")))
            by_origin["forward" if kind == "infer" else stage, layer] += each
        total = sum(by_origin.values())
        for (stage, layer), each in sorted(by_origin.items(), key=lambda item: -item[1]):
            yield Cost(
                model=setup.model,
                image_size=setup.image_size,
                batch_size=setup.config.batch_size,
                dtype=setup.config.dtype,
                kind=kind,
                device=jax.devices()[0].device_kind,
                stage=stage,
                layer=layer,
                milliseconds=each / _STEPS / 1e6,
                share=each / total,
            )


def _traced(step: Callable[[], object]) -> Mapping[str, float]:
    """Returns the nanoseconds of each operation, by its name, over `_STEPS` steps."""
    for _ in range(_WARM_UP_STEPS):
        jax.block_until_ready(step())
    nanoseconds: dict[str, float] = collections.defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(_STEPS):
                jax.block_until_ready(step())
        for path in Path(folder).rglob("*.xplane.pb"):
            for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
                for line in plane.lines:
                    for event in line.events:
                        name = dict(event.stats).get("hlo_op")
                        if name is not None:
                            nanoseconds[str(name)] += event.duration_ns
    return nanoseconds


def _origins(text: str) -> dict[str, tuple[str, str]]:
    """Returns the (stage, layer) of each operation of a compiled program, by its name."""
    return {match["name"]: origin(match["path"]) for match in _OPERATION.finditer(text)}


def origin(path: str) -> tuple[str, str]:
    """Returns the (stage, layer) that an operation comes from.

    Args:
      path: the names around it as JAX traced it, such as `jit(step)/transpose(jvp(convolution))/dot_general`.
    """
    stages = (("transpose(", "backward"), ("jvp(", "forward"))
    stage = next((stage for sign, stage in stages if sign in path), "step")
    words = _WORDS.findall(path)
    layer = next((word for word in reversed(words) if word in _SCOPES), words[-1] if words else "")
    return stage, layer.replace("_", " ")
