"""What a model is made of: its layers, their output shapes, parameters, MACs and receptive fields, and its stages.

All of this is read from the jaxpr of the model's forward pass in evaluation mode; nothing is allocated or compiled. Any
`Classifier` can be summarized. Layers of models/layers.py and models/windows.py are listed; totals include all others.

    python -m models.summary resnet50
    python -m models.summary mobilenet_v1:width=0.5 --image_size=160 --num_classes=10
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from absl import flags
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core
from rich.console import Console
from rich.text import Text

from isobudget import command, plugins, terminal
from models.classifier import count_auxiliary_parameters, count_parameters
from models.errors import ModelError
from models.layers import BatchNorm, Conv, Layer, Linear, Mode
from models.macs import equation_macs, shape_of, trace, walk
from models.receptive_field import IMAGE, WHOLE, Field, follow
from models.registry import check_image_size, create_abstract, info, parse, written
from models.windows import AdaptiveAveragePool, AveragePool, LocalResponseNorm, MaxPool

_LAYERS = (Conv, Linear, BatchNorm, MaxPool, AveragePool, AdaptiveAveragePool, LocalResponseNorm)
_BEGIN, _END, _STAGE = "begin", "end", "stage"


@dataclasses.dataclass(frozen=True)
class LayerSummary:
    """One layer of a forward pass.

    Attributes:
      name: its path in the model, as in torchvision's state dict.
      kind: its class.
      output_shape: of one image, without the batch axis.
      parameters: the number of trainable ones; 0 where the same layer runs a second time.
      macs: multiply-accumulates for one image.
      receptive_field: height and width of what an output element sees, in pixels; infinite if it sees the whole image.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class StageSummary:
    """One stage of a model.

    Attributes:
      name: its key in `Classifier.stages`.
      output_shape: of one image, [height, width, channels].
      stride: pixels of the image between neighboring outputs, along height and width; None if the output has no such
        axes.
      receptive_field: height and width of what an output element sees, in pixels; infinite if it sees the whole image.
    """

    name: str
    output_shape: tuple[int, ...]
    stride: tuple[int, int] | None
    receptive_field: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class ModelSummary:
    """A model at one image size, in evaluation mode.

    Attributes:
      spec: the model's name, and its options that are not at their defaults.
      options: all its options.
      image_size: the image's side in pixels.
      num_classes: the number of logits.
      layers: in the order in which they run.
      stages: from the first to the last.
      parameters: the number of trainable ones, auxiliary heads included.
      auxiliary_parameters: those of auxiliary heads, which run in training only.
      macs: multiply-accumulates for one image.
    """

    spec: str
    options: Mapping[str, Any]
    image_size: int
    num_classes: int
    layers: tuple[LayerSummary, ...]
    stages: tuple[StageSummary, ...]
    parameters: int
    auxiliary_parameters: int
    macs: int


def summarize(
    spec: str, image_size: int | None = None, num_classes: int = 1000, **options: Any
) -> ModelSummary:
    """Returns the layers and stages of the model that `spec` names.

    Args:
      spec: `name` or `name:option=value,...`.
      image_size: the image's side in pixels; the model's own if not given.
      num_classes: the number of logits.
      **options: the model's options, over those in `spec`.

    Raises:
      ModelError: an unknown model or option, or images too small for it.
    """
    if image_size is None:
        image_size = info(spec).input_size
    check_image_size(spec, image_size)
    model = create_abstract(spec, num_classes, **options)
    parameters, auxiliary = count_parameters(model), count_auxiliary_parameters(model)
    own_parameters = _mark_layers(model, "")
    layers, stages, macs = _read(trace(model, image_size).jaxpr, own_parameters)
    return ModelSummary(
        spec=model.spec,
        options=info(model.spec).options | parse(model.spec)[1],
        image_size=image_size,
        num_classes=num_classes,
        layers=layers,
        stages=stages,
        parameters=parameters,
        auxiliary_parameters=auxiliary,
        macs=macs,
    )


def batch_norm_pixels(spec: str, image_size: int) -> dict[str, int]:
    """Returns how many pixels of one image each layer of batch norm sees in training, auxiliary heads included.

    Args:
      spec: `name` or `name:option=value,...`.
      image_size: the image's side in pixels.

    Raises:
      ModelError: an unknown model or option, or images too small for it.
    """
    check_image_size(spec, image_size)
    model = create_abstract(spec)
    _mark_layers(model, "")
    pixels = {}
    for equation, _ in walk(trace(model, image_size, train=True).jaxpr):
        if equation.primitive.name == "name":
            _, kind, path = (*equation.params["name"].split(":"), "")[:3]
            if kind == BatchNorm.__name__:
                pixels[path] = math.prod(shape_of(equation.outvars[0])[1:-1])
    return pixels


class _Marked(Layer):
    """A layer whose input and output have names in the jaxpr, which tell its kind and path."""

    def __init__(self, layer: Any, path: str):
        self.layer = layer
        self.path = f"{type(layer).__name__}:{path}"

    def __call__(self, x: jax.Array, mode: Mode | None = None) -> jax.Array:
        takes_mode = isinstance(self.layer, Layer)
        return self._named(x, lambda x: self.layer(x, mode) if takes_mode else self.layer(x))

    def on_repeated(self, x: jax.Array, repeats: int) -> jax.Array:
        return self._named(x, lambda x: self.layer.on_repeated(x, repeats))

    def _named(self, x: jax.Array, function: Callable[[jax.Array], jax.Array]) -> jax.Array:
        x = function(checkpoint_name(x, f"{_BEGIN}:{self.path}"))
        return checkpoint_name(x, f"{_END}:{self.path}")


def _mark_layers(module: nnx.Module, prefix: str) -> dict[str, int]:
    """Wraps each layer below `module` in a `_Marked`. Returns each layer's parameters by its path."""
    parameters = {}
    for name, child in list(vars(module).items()):
        path = prefix + name
        if isinstance(child, _LAYERS):
            parameters[path] = count_parameters(child) if isinstance(child, nnx.Module) else 0
            setattr(module, name, nnx.data(_Marked(child, path)))
        elif isinstance(child, Layer):
            parameters |= _mark_layers(child, f"{path}.")
    return parameters


def _read(
    jaxpr: core.Jaxpr, parameters: dict[str, int]
) -> tuple[tuple[LayerSummary, ...], tuple[StageSummary, ...], int]:
    """Returns (layers, stages, MACs) of a marked model's jaxpr.

    Args:
      jaxpr: of a forward pass of the model.
      parameters: the number of parameters of each marked layer by its path.
    """
    layers: list[LayerSummary] = []
    stages: list[StageSummary] = []
    total = macs = 0
    remaining = dict(parameters)
    fields: list[Field | None] = [None] * (len(jaxpr.invars) - 1) + [IMAGE]
    for equation, times, field in follow(jaxpr, fields):
        counted = times * equation_macs(equation)
        total += counted
        macs += counted
        if equation.primitive.name != "name":
            continue
        event, _, name = equation.params["name"].partition(":")
        shape = shape_of(equation.outvars[0])[1:]
        field = field or WHOLE  # if it does not depend on the image
        if event == _STAGE:
            stages.append(StageSummary(name, shape, field.strides, field.size))
        elif event == _BEGIN:
            macs = 0
        elif event == _END:
            kind, _, path = name.partition(":")
            own = remaining.pop(path, 0)
            layers.append(LayerSummary(path, kind, shape, own, macs, field.size))
    return tuple(layers), tuple(stages), total


def print_summary(summary: ModelSummary, console: Console | None = None) -> None:
    """Prints a model's layers and stages on `console`, which is standard output if it is not given."""
    console = console or terminal.console()
    size, classes = summary.image_size, summary.num_classes
    _print_line(console, f"{summary.spec} at {size}x{size}, {classes} classes")
    if summary.options:
        _print_line(console, f"options: {written(summary.options)}")
    layers = ("layer", "kind", "output", "parameters", "MACs", "receptive field")
    stages = ("stage", "output", "stride", "receptive field")
    terminal.print_table(
        console,
        terminal.columns(layers, left=("layer", "kind"), keys=("layer",)),
        _layer_rows(summary),
        totals=_total_rows(summary),
    )
    terminal.print_table(
        console,
        terminal.columns(stages, left=("stage",), keys=("stage",)),
        _stage_rows(summary),
    )


def _layer_rows(summary: ModelSummary) -> list[tuple[str, ...]]:
    return [
        (
            layer.name,
            layer.kind,
            _by(layer.output_shape),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.macs:,}" if layer.macs else "",
            _field(layer.receptive_field),
        )
        for layer in summary.layers
    ]


def _total_rows(summary: ModelSummary) -> list[tuple[str, ...]]:
    auxiliary, total = summary.auxiliary_parameters, summary.parameters
    rows: list[tuple[str, ...]] = [("total", "", "", f"{total:,}", f"{summary.macs:,}", "")]
    if auxiliary:
        rows.insert(0, ("auxiliary heads", "in training", "", f"{auxiliary:,}", "", ""))
    return rows


def _stage_rows(summary: ModelSummary) -> list[tuple[str, ...]]:
    return [
        (
            stage.name,
            _by(stage.output_shape),
            _by(stage.stride or ()),
            _field(stage.receptive_field),
        )
        for stage in summary.stages
    ]


def _field(sizes: tuple[float, float]) -> str:
    return "all" if math.inf in sizes else _by(sizes)


def _by(sizes: Sequence[float]) -> str:
    return "x".join(f"{size:.0f}" for size in sizes)


def _print_line(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)


def define_flags() -> None:
    """Defines the command's flags."""
    flags.DEFINE_integer(
        "image_size",
        None,
        "Side of the images in pixels. Without it, the one at which the model's authors evaluate it.",
    )
    flags.DEFINE_integer("num_classes", 1000, "The number of classes that the model tells apart.")
    plugins.define_flag()


def main(arguments: Sequence[str]) -> None:
    """Prints the summary of the model that `arguments` name, at the flags' size and number of classes.

    Raises:
      ModelError: not one model, one that is unknown, or images too small for it.
    """
    if len(arguments) != 1:
        raise ModelError(
            f"a summary is of one model, such as resnet50, not of {len(arguments)}; see --help."
        )
    summary = summarize(arguments[0], flags.FLAGS.image_size, flags.FLAGS.num_classes)
    print_summary(summary)


if __name__ == "__main__":
    command.run(main, define_flags, takes_arguments=True)
