"""Weights come back from every format with equal tensors, and with what a file implies of options and pictures."""

import io
import json
import zipfile

import numpy as np
import onnx
import pytest

import models
from models import pretrained
from models.weight_files import keras_names

SPEC, CLASSES = "mobilenet_v1:width=0.25", 5


@pytest.fixture(scope="module")
def model(seeded):
    return seeded.model(SPEC, CLASSES)


@pytest.fixture(scope="module")
def tensors(model):
    return pretrained.state_dict(model)


def assert_equal(loaded, tensors):
    again = pretrained.state_dict(loaded)
    assert again.keys() == tensors.keys()
    different = [name for name in tensors if not np.array_equal(again[name], tensors[name])]
    assert not different


def assert_equal_logits(loaded, model, seeded, size=64):
    images = seeded.images(2, size)
    logits, wanted = (
        np.asarray(seeded.run(each, lambda each, images: each(images), images))
        for each in (loaded, model)
    )
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("same", [True, False], ids=["SAME", "explicit"])
def test_onnx(same, model, tensors, networks, seeded, tmp_path):
    path = tmp_path / "model.onnx"
    networks.write_onnx(path, networks.mobilenet_v1(), tensors, same=same)
    loaded = pretrained.load(SPEC, path)
    assert loaded.spec == (SPEC if same else "mobilenet_v1:padding=torch,width=0.25")
    assert_equal(loaded, tensors)


def test_onnx_with_batch_norm_folded(model, tensors, networks, seeded, tmp_path):
    path = tmp_path / "model.onnx"
    networks.write_onnx(path, networks.mobilenet_v1(), tensors, same=True, fold=True)
    assert_equal_logits(pretrained.load(SPEC, path), model, seeded)


def test_onnx_with_values_in_a_file_beside_it(tensors, networks, tmp_path):
    path = tmp_path / "model.onnx"
    networks.write_onnx(path, networks.mobilenet_v1(), tensors, same=True, external=True)
    assert path.stat().st_size < 50_000
    assert_equal(pretrained.load(SPEC, path), tensors)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "model.onnx.data").rename(tmp_path / "elsewhere" / "model.onnx.data")
    with pytest.raises(models.ModelError, match=r"should lie beside it, in model\.onnx\.data"):
        pretrained.load(SPEC, path)
    (tmp_path / "model.onnx.data").symlink_to(moved)
    with pytest.raises(models.ModelError, match=r"should lie beside it, in model\.onnx\.data"):
        pretrained.load(SPEC, path)


def test_a_network_that_scales_its_pictures_says_how_to_feed_it(tensors, networks, tmp_path):
    path = tmp_path / "model.onnx"
    networks.write_onnx(path, networks.mobilenet_v1(), tensors, same=True)
    whole = onnx.load_model(path)
    whole.graph.node[0].input[0] = "scaled"
    numbers = {"factor": np.array(1 / 51, np.float32), "mean": np.array([2, 2.5, 3], np.float32)}
    for name, value in numbers.items():
        shape = (1, -1, 1, 1) if value.ndim else ()
        whole.graph.initializer.append(onnx.numpy_helper.from_array(value.reshape(shape), name))
    scaled = [("Mul", ["image", "factor"], "times"), ("Sub", ["times", "mean"], "scaled")]
    for index, (kind, inputs, result) in enumerate(scaled):
        whole.graph.node.insert(index, onnx.helper.make_node(kind, inputs, [result]))
    onnx.save_model(whole, path)
    stated = pretrained.import_weights(SPEC, path).stated
    assert stated["mean"] == pytest.approx((0.4, 0.5, 0.6))
    assert stated["std"] == pytest.approx((0.2, 0.2, 0.2))


def test_tensorflow_lite(model, tensors, networks, seeded, tmp_path):
    path = tmp_path / "model.tflite"
    networks.write_tflite(path, networks.mobilenet_v1(), tensors)
    imported = pretrained.import_weights(SPEC, path)
    assert imported.stated == {"padding": "tensorflow"}
    assert_equal_logits(imported.model, model, seeded)


@pytest.mark.parametrize("kind", ["float16", "int8", "uint8"])
def test_tensorflow_lite_of_fewer_bits(kind, tensors, networks, tmp_path):
    path = tmp_path / "model.tflite"
    kernels = networks.write_tflite(path, networks.mobilenet_v1(), tensors, kind=kind)
    loaded = pretrained.state_dict(pretrained.load(SPEC, path))
    for name, kernel in kernels.items():
        if kernel.ndim == 4:
            depthwise = len(kernel) == 1
            kernel = kernel.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        np.testing.assert_array_equal(loaded[f"{name}.weight"], kernel)


def test_tensorflow_js_graph(tensors, networks, tmp_path):
    path = tmp_path / "model.json"
    networks.write_tensorflowjs_graph(path, networks.mobilenet_v1(), tensors)
    imported = pretrained.import_weights(SPEC, path)
    assert imported.stated == {"padding": "tensorflow", "epsilon": 0.001}
    assert_equal(imported.model, tensors)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16"])
def test_tensorflow_js_of_fewer_bits(kind, tensors, networks, tmp_path):
    path = tmp_path / "model.json"
    stood_for = networks.write_tensorflowjs_graph(
        path, networks.mobilenet_v1(), tensors, quantization=kind
    )
    loaded = pretrained.state_dict(pretrained.load(SPEC, path))
    stem = stood_for["conv_stem.weight"].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(loaded["conv_stem.weight"], stem)
    for part in ("weight", "bias", "running_mean", "running_var"):
        np.testing.assert_array_equal(loaded[f"bn1.{part}"], stood_for[f"bn1.{part}"])


@pytest.mark.parametrize("first_version", [False, True], ids=["layer", "layers"])
def test_caffe(first_version, networks, seeded, tmp_path):
    model = seeded.model("squeezenet1_1", CLASSES)
    tensors, path = pretrained.state_dict(model), tmp_path / "weights.caffemodel"
    networks.write_caffemodel(path, networks.squeezenet1_1(), tensors, first_version=first_version)
    imported = pretrained.import_weights("squeezenet1_1", path)
    assert imported.stated["channel_order"] == "bgr"
    assert imported.stated["mean"] == pytest.approx((104 / 255, 117 / 255, 123 / 255), abs=1e-6)
    assert_equal(imported.model, tensors)


def test_caffes_batch_norm_is_two_layers(tensors, networks, tmp_path):
    path = tmp_path / "weights.caffemodel"
    networks.write_caffemodel(path, networks.mobilenet_v1(), tensors)
    loaded = pretrained.load(SPEC, path)
    assert loaded.spec == "mobilenet_v1:padding=torch,width=0.25"
    assert_equal(loaded, tensors)


def test_branches_are_told_apart_by_their_place(networks, seeded, tmp_path):
    """Both expansions of a fire module, and shortcuts that come before what they are added to."""
    squeezenet = pretrained.state_dict(seeded.model("squeezenet1_1", CLASSES))
    networks.write_onnx(tmp_path / "s.onnx", networks.squeezenet1_1(), squeezenet)
    assert_equal(pretrained.load("squeezenet1_1", tmp_path / "s.onnx"), squeezenet)
    resnet = pretrained.state_dict(seeded.model("resnet18", CLASSES))
    networks.write_onnx(tmp_path / "r.onnx", networks.resnet18(), resnet)
    loaded = pretrained.load("resnet18", tmp_path / "r.onnx")
    assert loaded.spec == "resnet18:epsilon=0.001"
    assert_equal(loaded, resnet)


@pytest.fixture(scope="module")
def keras_layers(networks, tensors):
    operations = networks.mobilenet_v1()
    return networks.keras_layers(operations, networks.mobilenet_v1_in_keras(operations), tensors)


@pytest.mark.parametrize("inside", [True, False], ids=["model", "weights"])
def test_keras_2(inside, keras_layers, tensors, networks, tmp_path):
    path = tmp_path / "weights.h5"
    networks.write_keras_2(path, keras_layers, inside=inside)
    imported = pretrained.import_weights(SPEC, path)
    assert imported.model.spec == SPEC
    assert imported.stated["mean"] == (0.5, 0.5, 0.5)
    assert_equal(imported.model, tensors)


def test_a_head_of_ones_own_on_top_of_keras_network(keras_layers, tensors, networks, tmp_path):
    *rest, (_, _, head) = keras_layers
    own = ("Dense", "dense_7", head | {"kernel": head["kernel"][0, 0]})
    networks.write_keras_2(tmp_path / "weights.h5", [*rest, own])
    assert_equal(pretrained.load(SPEC, tmp_path / "weights.h5"), tensors)


@pytest.mark.parametrize("named", [True, False])
def test_keras_3_weights(named, keras_layers, tensors, networks, tmp_path):
    path = tmp_path / "model.weights.h5"
    networks.write_keras_3(path, keras_layers, named=named)
    assert_equal(pretrained.load(SPEC, path), tensors)


def test_keras_3_model(keras_layers, tensors, networks, tmp_path):
    path, content = tmp_path / "model.keras", io.BytesIO()
    networks.write_keras_3(content, keras_layers, named=False)
    config = [{"class_name": kind, "config": {"name": name}} for kind, name, _ in keras_layers]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": config}}))
        archive.writestr("model.weights.h5", content.getvalue())
    assert_equal(pretrained.load(SPEC, path), tensors)


def test_tensorflow_js_layers(keras_layers, tensors, tmp_path):
    weights, content = [], b""
    for _, layer, variables in keras_layers:
        for variable, values in variables.items():
            weights.append({"name": f"{layer}/{variable}", "shape": values.shape, "dtype": "float32"})  # fmt: skip
            content += np.ascontiguousarray(values).tobytes()
    (tmp_path / "shard.bin").write_bytes(content)
    manifest = [{"paths": ["shard.bin"], "weights": weights}]
    text = json.dumps({"modelTopology": {"model_config": {}}, "weightsManifest": manifest})
    (tmp_path / "model.json").write_text(text)
    assert_equal(pretrained.load(SPEC, tmp_path / "model.json"), tensors)


def test_a_bias_before_batch_norm_goes_into_its_mean(
    keras_layers, model, networks, seeded, tmp_path
):
    kind, name, variables = keras_layers[0]
    biased = {"kernel": variables["kernel"], "bias": np.full(8, 0.5, np.float32)}
    mean = keras_layers[1][2] | {"moving_mean": keras_layers[1][2]["moving_mean"] + np.float32(0.5)}
    layers = [(kind, name, biased), (*keras_layers[1][:2], mean), *keras_layers[2:]]
    networks.write_keras_2(tmp_path / "weights.h5", layers)
    assert_equal_logits(pretrained.load(SPEC, tmp_path / "weights.h5"), model, seeded)


@pytest.mark.parametrize(
    "spec",
    [
        *("mobilenet_v1", "mobilenet_v2:width=0.35", "mobilenet_v3_large", "mobilenet_v3_small"),
        *("resnet50_v1", "resnet101_v1", "resnet152_v1", "vgg16", "vgg19"),
        "inception_v3:auxiliary=false",
    ],
)
def test_a_table_of_keras_names_has_every_layer_once(spec):
    model = models.create_abstract(spec)
    table = keras_names.table(models.parse(spec)[0], model)
    layers = {name.rpartition(".")[0] for name in pretrained.shapes(model)}
    assert len({layer for layer, _ in table}) == len(table)
    assert sorted(path for _, path in table) == sorted(layers)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("conv1", "conv1_conv"), ("bn_conv1", "conv1_bn"), ("res2a_branch1", "conv2_block1_0_conv"),
        ("bn3b_branch2c", "conv3_block2_3_bn"), ("res4b22_branch2a", "conv4_block23_1_conv"), ("fc1000", "predictions"),
    ],
)  # fmt: skip
def test_the_first_resnets_of_keras_have_todays_names(layer, name):
    assert keras_names.canonical("resnet50_v1", layer) == name


def test_inceptions_convolutions_are_numbered_as_keras_makes_them():
    model = models.create_abstract("inception_v3", auxiliary=False)
    table = dict(keras_names.table("inception_v3", model))
    assert table["conv2d_5"] == "Mixed_5b.branch1x1.conv"
    assert table["conv2d_8"] == "Mixed_5b.branch3x3dbl_1.conv"
    assert table["batch_normalization_93"] == "Mixed_7c.branch_pool.bn"
    assert list(table)[10:16:2] == ["conv2d_8", "conv2d_6", "conv2d_9"]  # as it writes them
