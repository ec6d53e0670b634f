"""Weights are found in training scripts' checkpoints where only one set can be meant."""

import io
import itertools
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import models
from models import checkpoints, pretrained, torch_files
from models.errors import LONGEST

SPEC, CLASSES = "squeezenet1_1", 3


@pytest.fixture(scope="module")
def tensors(seeded):
    return pretrained.state_dict(seeded.model(SPEC, CLASSES))


def prefixed(tensors, prefix):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def zeros(tensors):
    return {name: np.zeros_like(tensor) for name, tensor in tensors.items()}


def save(content: dict, path: Path) -> None:
    """Writes dicts of numbers, texts and tensors in one another as `torch.save` does."""
    storages: list[np.ndarray] = []
    text, whole = torch_files._text, torch_files._whole

    def pickled(value) -> bytes:
        if isinstance(value, dict):
            items = itertools.chain.from_iterable(value.items())
            return b"}(" + b"".join(map(pickled, items)) + b"u"
        if isinstance(value, str):
            return text(value)
        if isinstance(value, bytes):
            return value
        if isinstance(value, int):
            return whole(value)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        storages.append(value)
        kind = torch_files._STORAGES[value.dtype]
        strides = [stride // value.itemsize for stride in value.strides]
        sizes = [b"(" + b"".join(map(whole, each)) + b"t" for each in (value.shape, strides)]
        reference = b"(" + text("storage") + f"ctorch\n{kind}\n".encode()
        reference += text(str(len(storages) - 1)) + text("cpu") + whole(value.size) + b"tQ"
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n("
            + reference + whole(0) + sizes[0] + sizes[1] + b"\x89}tR"
        )  # fmt: skip

    data = pickle.PROTO + b"\x02" + pickled(content) + pickle.STOP
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("archive/data.pkl", data)
        for index, values in enumerate(storages):
            zipped.writestr(f"archive/data/{index}", values.tobytes())
    path.write_bytes(buffer.getvalue())


def assert_loaded(path, tensors, **options) -> None:
    loaded = pretrained.state_dict(pretrained.load(SPEC, path, **options))
    assert loaded.keys() == tensors.keys()
    assert all(np.array_equal(loaded[name], tensors[name]) for name in tensors)


def refusal(path, spec=SPEC, **options) -> str:
    with pytest.raises(models.ModelError) as error:
        pretrained.load(spec, path, **options)
    message = str(error.value)
    assert message.startswith(f"{path} ")
    assert message.endswith(".")
    assert len(message) <= LONGEST
    return message.removeprefix(f"{path} ")


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "model.", "_orig_mod.", "backbone.", "encoder.", "net.", "student."),
        *("module._orig_mod.", "model.backbone.", "a.b.c."),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_prefix_before_every_name_is_taken_away(prefix, suffix, tensors, tmp_path):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch_files.write(prefixed(tensors, prefix), path)
    else:
        save_file(prefixed(tensors, prefix), path)
    assert_loaded(path, tensors)


@pytest.mark.parametrize(
    "entry", ["state_dict", "model", "model_state_dict", "ema", "model_ema", "net", "weights"]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_lies_in_an_entry_of_any_name(entry, prefix, tensors, tmp_path):
    optimizer = {"state": {0: {"exp_avg": np.zeros(2, np.float32)}}, "lr": 0.1}
    wrapped = {"epoch": 3, entry: prefixed(tensors, prefix), "optimizer": optimizer, "arch": "net"}
    save(wrapped, tmp_path / "checkpoint.pth")
    assert_loaded(tmp_path / "checkpoint.pth", tensors)
    save({"checkpoint": wrapped}, tmp_path / "deeper.pth")
    assert_loaded(tmp_path / "deeper.pth", tensors)


def test_what_a_script_stores_beside_the_weights_is_passed_over(tensors, tmp_path):
    """Its flags, the best accuracy as a NumPy number, the attributes of a state dict, and what averages count."""
    namespace = b"cargparse\nNamespace\n)\x81}(" + torch_files._text("lr") + b"K\x01ub"
    number = b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" + torch_files._text("f8")
    number += b"\x89\x88\x87R(K\x03Nt" + b"b" + torch_files._text("12345678") + b"\x86R"
    ordered = b"ccollections\nOrderedDict\n)R}" + torch_files._text("_metadata") + b"}sb"
    averaged = {"n_averaged": np.array(3)} | prefixed(tensors, "module.")
    save(
        {"args": namespace, "best": number, "buffers": ordered, "model_ema": averaged},
        tmp_path / "checkpoint.pth",
    )
    assert_loaded(tmp_path / "checkpoint.pth", tensors)


def test_two_sets_of_weights_are_refused_unless_they_are_equal(tensors, tmp_path):
    path = tmp_path / "checkpoint.pth"
    averaged = prefixed(tensors, "module.")
    save({"model": tensors, "model_ema": averaged}, path)
    assert_loaded(path, tensors)
    save({"model": zeros(tensors), "model_ema": averaged}, path)
    assert refusal(path) == (
        "holds 2 sets of weights that differ (model, model_ema.module): write the one you want"
        " into a file of its own with python -m models.pretrained --entry=ENTRY."
    )
    save(tensors | prefixed(zeros(tensors), "ema."), path)
    assert "2 sets of weights that differ (the file itself, ema):" in refusal(path)


def test_an_entry_chooses_among_sets_of_weights(tensors, command_here, tmp_path):
    path = tmp_path / "checkpoint.pth"
    save({"model": zeros(tensors), "model_ema": prefixed(tensors, "module.")}, path)
    assert_loaded(path, tensors, entry="model_ema")
    assert_loaded(path, tensors, entry="model_ema.module")
    assert_loaded(path, zeros(tensors), entry="model")
    assert refusal(path, entry="optimizer") == (
        f"holds no weights of {SPEC} in its entry 'optimizer'."
    )
    done = command_here(
        "models.pretrained",
        f"--model={SPEC}",
        f"--weights={path}",
        "--entry=model_ema",
        f"--out={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    assert_loaded(tmp_path / "weights.safetensors", tensors)


def test_tensors_beside_the_weights_are_no_less_left_over_than_others(tensors, tmp_path):
    path = tmp_path / "weights.pth"
    torch_files.write(prefixed(tensors, "model.") | {"loss.weight": np.ones(2, np.float32)}, path)
    assert refusal(path) == (
        f"does not fit {SPEC}: beside the weights, in model, there is loss.weight."
    )


def test_weights_without_a_head_say_what_they_lack_by_the_models_names(tensors, tmp_path):
    path = tmp_path / "weights.pth"
    backbone = {name: each for name, each in tensors.items() if not name.startswith("classifier")}
    torch_files.write(prefixed(backbone, "backbone."), path)
    assert refusal(path) == (
        f"does not fit {SPEC}: the file lacks classifier.1.bias, classifier.1.weight."
    )


def test_sets_of_tensors_of_other_models_are_listed(tensors, tmp_path):
    path = tmp_path / "checkpoint.pth"
    save({f"part{index}": {"w": np.zeros(2, np.float32)} for index in range(100)}, path)
    with pytest.raises(models.ModelError, match="it holds 100 sets of tensors"):
        pretrained.read(path)
    message = refusal(path)
    assert message.startswith("holds 100 sets of tensors (part0, part1, ")
    assert message.endswith(f"and 90 more), and none has the names of {SPEC}.")
    save({"model": tensors, "other": {"w": np.zeros(2, np.float32)}}, path)
    assert_loaded(path, tensors)


def test_a_list_of_many_names_is_shortened(tensors, tmp_path):
    path = tmp_path / "weights.pth"
    torch_files.write(tensors, path)
    message = refusal(path, "resnet152")
    assert message.startswith("does not fit resnet152: the model lacks classifier.1.bias, ")
    assert "; the file lacks bn1.bias, " in message
    assert " more" in message
    torch_files.write({"x" * 5000 + str(index): np.zeros(2) for index in range(3)}, path)
    refusal(path)
    options = ",".join(
        f"{key}={each}" for key, each in models.info("mobilenet_v3_small").options.items()
    )
    refusal(path, f"mobilenet_v3_small:{options}")


def test_timms_names_are_found_below_a_prefix():
    names = pretrained.shapes(models.create_abstract("vgg11")).keys()
    layers = {"0": "pre_logits.fc1", "3": "pre_logits.fc2", "6": "head.fc"}
    timms = set(names)
    for layer, theirs in layers.items():
        timms -= {f"classifier.{layer}.weight", f"classifier.{layer}.bias"}
        timms |= {f"{theirs}.weight", f"{theirs}.bias"}
    wrapped = {f"module.{name}": np.zeros(1) for name in timms}
    assert checkpoints.choose({"model": wrapped}, "vgg11", names).keys() == timms
