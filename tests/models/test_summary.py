"""The summary's receptive fields, sums and command."""

import math

import jax.numpy as jnp
import pytest
from flax import nnx

import models
from models.layers import Conv, Mode
from models.summary import main, stage_strides, summarize

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


def test_strides_of_stages():
    assert stage_strides("resnet50") == {
        "stem": (4, 4), "layer1": (4, 4), "layer2": (8, 8), "layer3": (16, 16), "layer4": (32, 32),
    }  # fmt: skip


def test_a_tall_kernel_sees_more_rows_than_columns(summary_of):
    layers = {layer.name: layer for layer in summary_of("inception_v3").layers}
    tall = layers["Mixed_7c.branch3x3dbl_3b.conv"].receptive_field
    wide = layers["Mixed_7c.branch3x3dbl_3a.conv"].receptive_field
    assert tall == wide[::-1]
    assert tall[0] - tall[1] == 64


def test_the_command_prints_layers_and_totals(capsys):
    assert main(["mobilenet_v1:width=0.5", "--image_size=160", "--num_classes=10"]) == 0
    printed = capsys.readouterr().out
    expected = models.create_abstract("mobilenet_v1", 10, width=0.5)
    assert "mobilenet_v1:width=0.5 at 160x160, 10 classes" in printed
    assert "blocks.3.0.conv_dw" in printed
    assert f"{models.count_parameters(expected):,}" in printed
    assert f"{models.count_macs(expected, 160):,}" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet51"], "there is no model 'resnet51': did you mean resnet"),
        (["resnet50:width=2"], "model 'resnet50' has no option 'width=2'"),
        (["resnet50", "--image_size=31"], "resnet50 needs images of at least 32x32 pixels, not 31x31."),
        (["resnet50", "--num_classes=0"], "a model needs at least 1 class, not 0."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_status_2(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1


def test_a_layer_runs_the_same_when_it_is_marked():
    from models.summary import _Marked

    conv = Conv(3, 4, 3, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 5, 5, 3))
    assert (_Marked(conv, "conv")(x, Mode()) == conv(x)).all()
