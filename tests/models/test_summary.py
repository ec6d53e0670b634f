"""The summary's receptive fields, sums and command."""

import io
import math
import re

import jax.numpy as jnp
import pytest
from flax import nnx
from rich.console import Console

import models
from isobudget import plugins
from models import registry
from models.layers import Conv, Linear, Mode
from models.summary import _Marked, print_summary, summarize

# Of the last stage: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill
# 2019, table 1 (AlexNet v2, VGG-16, ResNet v1, Inception v3 and MobileNet v1).
RECEPTIVE_FIELDS = {
    "alexnet": 195,
    "vgg16": 212,
    "resnet50_v1": 483,
    "resnet101_v1": 1027,
    "resnet152_v1": 1507,
    "inception_v3": 1311,
    "mobilenet_v1": 315,
}


@pytest.mark.parametrize("name", RECEPTIVE_FIELDS)
def test_receptive_fields_are_the_published_ones(name, summary_of):
    assert summary_of(name).stages[-1].receptive_field == (RECEPTIVE_FIELDS[name],) * 2


@pytest.mark.parametrize("name", models.names())
def test_layers_add_up_to_the_model(name, summary_of):
    summary = summary_of(name)
    assert sum(layer.macs for layer in summary.layers) == summary.macs
    own = sum(layer.parameters for layer in summary.layers)
    assert own + summary.auxiliary_parameters == summary.parameters
    assert summary.layers[-1].output_shape == (1000,) or name.startswith("squeezenet")


@pytest.mark.parametrize("name", ["vgg11", "googlenet", "alexnet_2012"])
def test_layers_add_up_at_the_smallest_size_too(name):
    summary = summarize(name, models.info(name).min_size)
    assert sum(layer.macs for layer in summary.layers) == summary.macs
    assert sum(layer.parameters for layer in summary.layers) == (
        summary.parameters - summary.auxiliary_parameters
    )


def test_a_layer_has_its_name_shape_parameters_macs_and_field(summary_of):
    layers = {layer.name: layer for layer in summary_of("resnet18").layers}
    conv = layers["layer2.0.conv1"]
    assert (conv.kind, conv.output_shape, conv.parameters) == ("Conv", (28, 28, 128), 73_728)
    assert conv.macs == 28 * 28 * 73_728
    assert conv.receptive_field == (51, 51)
    assert layers["maxpool"].receptive_field == (11, 11)
    assert layers["fc"].receptive_field == (math.inf, math.inf)


def test_squeeze_and_excite_sees_the_whole_image_and_keeps_the_stride(summary_of):
    stages = {stage.name: stage for stage in summary_of("mobilenet_v3_large").stages}
    assert stages["blocks2"].receptive_field == (19, 19)
    assert stages["blocks3"].receptive_field == (math.inf, math.inf)
    assert stages["blocks3"].stride == (8, 8)


def test_strides_of_stages(summary_of):
    assert {stage.name: stage.stride for stage in summary_of("resnet50").stages} == {
        "stem": (4, 4), "layer1": (4, 4), "layer2": (8, 8), "layer3": (16, 16), "layer4": (32, 32),
    }  # fmt: skip


def test_a_tall_kernel_sees_more_rows_than_columns(summary_of):
    layers = {layer.name: layer for layer in summary_of("inception_v3").layers}
    tall = layers["Mixed_7c.branch3x3dbl_3b.conv"].receptive_field
    wide = layers["Mixed_7c.branch3x3dbl_3a.conv"].receptive_field
    assert tall == wide[::-1]
    assert tall[0] - tall[1] == 64


def test_the_command_prints_layers_stages_and_totals(command_here):
    done = command_here(
        "models.summary", "mobilenet_v1:width=0.5", "--image_size=160", "--num_classes=10"
    )
    assert done.returncode == 0, done.stderr
    expected = models.create_abstract("mobilenet_v1", 10, width=0.5)
    assert "mobilenet_v1:width=0.5 at 160x160, 10 classes" in done.stdout
    assert "blocks.3.0.conv_dw" in done.stdout
    assert f"{models.count_parameters(expected):,}" in done.stdout
    assert f"{models.count_macs(expected, 160):,}" in done.stdout
    assert re.search(r"^blocks4 +5x5x512 +32x32 +315x315 *$", done.stdout, re.MULTILINE)


PLUGIN = """
import models
from models.vgg import VGG

@models.register("my_net", family="my_net", paper=models.Paper("Mine", None, 2026), min_size=32)
def my_net(num_classes, dtype, rngs, dropout: float = 0.5):
    return VGG(11, num_classes, batch_norm=False, dropout=dropout, dtype=dtype, rngs=rngs)
"""


def test_the_command_summarizes_a_model_of_ones_own(command_here, tmp_path, monkeypatch):
    (tmp_path / "my_package_for_tests").mkdir()
    (tmp_path / "my_package_for_tests" / "my_net.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(plugins, "_loaded", {})
    done = command_here("models.summary", "my_net", "--plugins=my_package_for_tests.my_net")
    assert done.returncode == 0, done.stderr
    assert "my_net at 224x224, 1000 classes" in done.stdout
    assert "132,863,336" in done.stdout


def printed(summary, width: int) -> str:
    """What is printed on a terminal of this width."""
    file = io.StringIO()
    print_summary(summary, Console(file=file, width=width, force_terminal=True, no_color=True))
    return re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())


# Of VGG-16 at 224x224; the longest that any column holds.
NUMBERS = ("224x224x64", "138,357,544", "15,470,264,320", "212x212")


@pytest.mark.parametrize("name", ["vgg16", "inception_v3"])
def test_a_terminal_of_80_columns_shows_every_number_whole(name, summary_of):
    summary = summary_of(name)
    lines = printed(summary, 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    words = {word for line in lines for word in line.split()}
    assert {f"{summary.parameters:,}", f"{summary.macs:,}"} <= words
    for layer in summary.layers:
        assert {"x".join(map(str, layer.output_shape)), f"{layer.macs or 0:,}"} - words <= {"0"}
        assert not layer.parameters or f"{layer.parameters:,}" in words
    if name == "vgg16":
        assert set(NUMBERS) <= words


@pytest.mark.parametrize("width", [20, 60, 70])
def test_a_narrower_terminal_shows_every_number_whole_too(width, summary_of):
    words = set(printed(summary_of("vgg16"), width).split())
    assert set(NUMBERS) <= words


def test_a_pipe_gets_every_column_at_its_full_width(summary_of, capsys):
    summary = summary_of("inception_v3")
    print_summary(summary)
    lines = capsys.readouterr().out.splitlines()
    (longest,) = (line for line in lines if "Mixed_7c.branch3x3dbl_3b.conv" in line)
    assert longest.split() == [
        *("Mixed_7c.branch3x3dbl_3b.conv", "Conv", "8x8x384"),
        *("442,368", "28,311,552", "1311x1247"),
    ]
    layers = [line for line in lines if " Conv " in line]
    assert len(layers) == sum(layer.kind == "Conv" for layer in summary.layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet51"], "there is no model 'resnet51': did you mean resnet"),
        (["resnet50:width=2"], "model 'resnet50' has no option 'width=2'"),
        (["resnet50", "--image_size=31"], "resnet50 needs images of at least 32x32 pixels, not 31x31."),
        (["resnet50", "--image_size=0"], "resnet50 needs images of at least 32x32 pixels, not 0x0."),
        (["resnet50", "--image_size=small"], "flag --image_size=small: "),
        (["resnet50", "--num_classes=0"], "a model needs at least 1 class, not 0."),
        ([], "a summary is of one model, such as resnet50, not of 0; see --help."),
        (["resnet50", "vgg16"], "a summary is of one model, such as resnet50, not of 2; see --help."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_status_2(arguments, message, command_here):
    done = command_here("models.summary", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_a_layer_runs_the_same_when_it_is_marked():
    conv = Conv(3, 4, 3, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 5, 5, 3))
    assert (_Marked(conv, "conv")(x, Mode()) == conv(x)).all()


def test_stages_without_height_and_width_have_no_stride(monkeypatch):
    class Tokens(models.Classifier):
        """Two stages, of which the second puts out [batch, tokens, channels]."""

        def __init__(self, num_classes: int, rngs: nnx.Rngs):
            self.conv = Conv(3, 4, 4, strides=4, rngs=rngs)
            self.fc = Linear(4, num_classes, rngs=rngs)

        def stages(self):
            return {"patches": self.conv, "tokens": lambda x, mode: x.reshape(len(x), -1, 4)}

        def classify(self, features, mode):
            return self.fc(features.mean(1))

    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    paper = models.Paper("A network for tests", None, 2020)
    models.register("tokens", family="tokens", paper=paper, min_size=8)(
        lambda num_classes, dtype, rngs: Tokens(num_classes, rngs)
    )
    patches, tokens = summarize("tokens", 32).stages
    assert (patches.output_shape, patches.stride) == ((8, 8, 4), (4, 4))
    assert (tokens.output_shape, tokens.stride) == ((64, 4), None)
    assert re.search(r"^tokens +64x4 +all *$", printed(summarize("tokens", 32), None), re.MULTILINE)
