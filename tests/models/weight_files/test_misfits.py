"""Weights that are not a model's are refused in one sentence, which gives the likely cause."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import models
from models import pretrained
from models.errors import LONGEST


def refusal(spec: str, path, **options) -> str:
    with pytest.raises(models.ModelError) as error:
        pretrained.load(spec, path, **options)
    message = str(error.value)
    assert len(message) <= LONGEST
    return message


@pytest.fixture(scope="module")
def tensors(seeded):
    return pretrained.state_dict(seeded.model("mobilenet_v1:width=0.25", 5))


@pytest.fixture(scope="module")
def onnx_model(networks, tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    networks.write_onnx(path, networks.mobilenet_v1(), tensors)
    return path


def test_another_width_is_named(tensors, onnx_model, tmp_path):
    save_file(tensors, tmp_path / "model.safetensors")
    for path in (tmp_path / "model.safetensors", onnx_model):
        message = refusal("mobilenet_v1", path)
        assert message.endswith("; these are the weights of mobilenet_v1:width=0.25.")


def test_another_model_is_named(onnx_model, networks, seeded, tmp_path):
    message = refusal("mobilenet_v2", onnx_model)
    assert message.endswith(
        "(28 in the file, 53 in the model); these are the weights of mobilenet_v1:width=0.25."
    )
    tensors = pretrained.state_dict(seeded.model("squeezenet1_1", 5))
    networks.write_caffemodel(tmp_path / "s.caffemodel", networks.squeezenet1_1(), tensors)
    message = refusal("squeezenet1_0", tmp_path / "s.caffemodel")
    assert message.endswith("these are the weights of squeezenet1_1.")


def test_another_padding_or_epsilon_than_the_files_is_refused(onnx_model):
    message = refusal("mobilenet_v1:width=0.25,padding=tensorflow", onnx_model)
    assert message.endswith("its network has padding=torch, and padding=tensorflow is asked for.")
    message = refusal("mobilenet_v1:width=0.25", onnx_model, epsilon=1e-5)
    assert message.endswith("its network has epsilon=0.001, and epsilon=1e-05 is asked for.")


def test_padding_that_a_model_does_not_offer_is_refused(networks, tensors, tmp_path):
    networks.write_onnx(tmp_path / "m.onnx", networks.mobilenet_v1(), tensors, same=True)
    message = refusal("vgg11", tmp_path / "m.onnx")
    assert message.endswith("its network has padding=tensorflow, and vgg11 has no such option.")


def test_an_epsilon_that_a_model_does_not_offer_goes_into_variances(networks, seeded, tmp_path):
    """GoogLeNet's is fixed; the sum of variance and epsilon stays the same."""
    from models.weight_files.fill import normalization

    norm = {"running_var": np.full(3, 0.5, np.float32)}
    kept = normalization(norm, np.zeros(3, np.float32), 1e-2, 1e-3)
    np.testing.assert_allclose(kept["running_var"] + 1e-3, 0.5 + 1e-2, rtol=1e-6)
    with pytest.raises(ValueError, match="set its option epsilon"):
        normalization({"running_var": np.zeros(3)}, np.zeros(3), 1e-5, 1e-3)


def test_missing_statistics_and_transposed_heads_are_named(tensors, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({name: each for name, each in tensors.items() if "running" not in name}, path)
    message = refusal("mobilenet_v1:width=0.25", path)
    assert message.endswith(
        "its batch norms have no statistics, without which no weights can be used."
    )
    save_file(tensors | {"classifier.weight": tensors["classifier.weight"].T.copy()}, path)
    assert "classifier.weight is transposed." in refusal("mobilenet_v1:width=0.25", path)


def test_another_stride_is_another_network(networks, seeded, tmp_path):
    """Shapes alone do not tell them apart."""
    tensors = pretrained.state_dict(seeded.model("resnet18", 5))
    operations = [
        (kind, result, inputs, name, attributes | {"stride": 1} if name == "conv1" else attributes)
        for kind, result, inputs, name, attributes in networks.resnet18()
    ]
    networks.write_onnx(tmp_path / "r.onnx", operations, tensors)
    message = refusal("resnet18", tmp_path / "r.onnx")
    assert "they differ in conv1 (stride: 1 in the file, 2 in the model)" in message


def test_a_resnet_whose_pool_is_not_padded_is_refused(networks, seeded, tmp_path):
    tensors = pretrained.state_dict(seeded.model("resnet18", 5))
    operations = [
        (kind, result, inputs, name, {} if kind == "pool" else attributes)
        for kind, result, inputs, name, attributes in networks.resnet18()
    ]
    networks.write_caffemodel(tmp_path / "r.caffemodel", operations, tensors)
    message = refusal("resnet18", tmp_path / "r.caffemodel")
    assert message.endswith(
        "its first pool is not padded, as in Caffe's ResNets, and that of resnet18 is."
    )


def test_kerass_resnets_are_of_the_first_version(networks, tensors, tmp_path):
    operations = networks.mobilenet_v1()
    layers = networks.keras_layers(operations, networks.mobilenet_v1_in_keras(operations), tensors)
    networks.write_keras_2(tmp_path / "w.h5", layers)
    message = refusal("resnet50", tmp_path / "w.h5")
    assert message.endswith("have the stride on a block's first convolution: --model=resnet50_v1.")
    assert "no squeezenet1_1" in refusal("squeezenet1_1", tmp_path / "w.h5")
    message = refusal("mobilenet_v1", tmp_path / "w.h5")
    assert message.endswith("these are the weights of mobilenet_v1:width=0.25.")


def test_the_command_lists_all_that_differs_if_asked(onnx_model, command_here, tmp_path):
    arguments = ("--model=mobilenet_v1", f"--weights={onnx_model}", f"--out={tmp_path / 'out'}")
    short = command_here("models.pretrained", *arguments)
    assert (short.returncode, short.stderr.count("\n")) == (2, 1)
    long = command_here("models.pretrained", *arguments, "--verbose")
    assert long.stderr.count("\n") == 28 + 1
    assert long.stderr.endswith(short.stderr)
