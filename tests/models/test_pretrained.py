"""Weights go in and out: every tensor is used, every parameter filled, files are read without PyTorch."""

import collections
import io
import pickle
import re
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import models
from models import pretrained, torch_files
from models.timm_names import to_torchvision

SPEC, CLASSES = "mobilenet_v3_small", 4


@pytest.fixture(scope="module")
def model(seeded):
    return seeded.model(SPEC, CLASSES)


@pytest.fixture(scope="module")
def tensors(model):
    return pretrained.state_dict(model)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_weights_come_back_bit_for_bit(suffix, model, tensors, tmp_path):
    path = tmp_path / f"weights{suffix}"
    pretrained.save(model, path)
    again = pretrained.state_dict(pretrained.load(SPEC, path))
    assert list(again) == list(tensors)
    assert all(np.array_equal(again[name], tensors[name]) for name in tensors)


def test_kernels_have_pytorchs_layout(model, tensors):
    kernel = model.features
    for name in ("0", "0", "kernel"):
        kernel = getattr(kernel, name)
    kernel = np.asarray(kernel[...])
    np.testing.assert_array_equal(tensors["features.0.0.weight"], kernel.transpose(3, 2, 0, 1))
    dense = np.asarray(getattr(model.classifier, "3").kernel[...])
    np.testing.assert_array_equal(tensors["classifier.3.weight"], dense.T)
    assert tensors["features.0.1.num_batches_tracked"].dtype == np.int64


def test_the_number_of_classes_is_the_files(model, tmp_path):
    pretrained.save(model, tmp_path / "weights.pth")
    loaded = pretrained.load(SPEC, tmp_path / "weights.pth")
    assert pretrained.shapes(loaded)["classifier.3.weight"] == (CLASSES, 1024)


def test_what_is_left_over_on_either_side_is_listed(model, tensors):
    wrong = dict(tensors) | {"features.99.weight": np.zeros(3), "fc.bias": np.zeros(3)}
    del wrong["features.0.0.weight"], wrong["classifier.0.bias"]
    wrong["classifier.3.bias"] = np.zeros(5, np.float32)
    with pytest.raises(models.ModelError) as error:
        pretrained.assign(model, wrong)
    message = str(error.value)
    assert "the model lacks fc.bias, features.99.weight;" in message
    assert "the file lacks classifier.0.bias, features.0.0.weight;" in message
    assert "shapes differ for classifier.3.bias ([5] in the file, [4] in the model)." in message


def test_weights_of_another_model_do_not_fit(model, tmp_path):
    pretrained.save(model, tmp_path / "weights.pth")
    with pytest.raises(models.ModelError, match="does not fit mobilenet_v2: the model lacks"):
        pretrained.load("mobilenet_v2", tmp_path / "weights.pth")
    pretrained.save(model, tmp_path / "weights.safetensors")
    with pytest.raises(models.ModelError, match="holds the weights of mobilenet_v3_small, not of"):
        pretrained.load("mobilenet_v2", tmp_path / "weights.safetensors")


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_files_become_float32(dtype, tensors, tmp_path):
    halves = {
        name: each.astype(dtype) if each.dtype == np.float32 else each
        for name, each in tensors.items()
    }
    torch_files.write(halves, tmp_path / "weights.pth")
    save_file(halves, tmp_path / "weights.safetensors")
    for name in ("weights.pth", "weights.safetensors"):
        loaded = pretrained.state_dict(pretrained.load(SPEC, tmp_path / name))
        for key, half in halves.items():
            np.testing.assert_array_equal(loaded[key], np.zeros(()) if half.ndim == 0 else half)
            assert loaded[key].dtype == (np.int64 if half.ndim == 0 else np.float32)


def test_published_options_hold_for_files_that_say_nothing(seeded, tmp_path):
    original = seeded.model("googlenet", 3)
    pretrained.save(original, tmp_path / "weights.pth")
    pretrained.save(original, tmp_path / "weights.safetensors")
    assert pretrained.load("googlenet", tmp_path / "weights.pth").transform_input
    assert not pretrained.load("googlenet", tmp_path / "weights.safetensors").transform_input
    spec = "googlenet:transform_input=false"
    assert not pretrained.load(spec, tmp_path / "weights.pth").transform_input


def test_timms_mobilenet_v3_gets_timms_epsilon_and_keeps_it(tensors, tmp_path):
    timms = {"conv_stem.weight": tensors["features.0.0.weight"]}
    assert to_torchvision(SPEC, timms)[1] == {"epsilon": 1e-5}
    loaded = models.create_abstract(SPEC, CLASSES, epsilon=1e-5)
    pretrained.assign(loaded, tensors)
    pretrained.save(loaded, tmp_path / "weights.safetensors")
    assert pretrained.load(SPEC, tmp_path / "weights.safetensors").spec == f"{SPEC}:epsilon=1e-05"


def test_a_file_of_an_earlier_version_pads_as_it_did(seeded, tmp_path):
    model = seeded.model("mobilenet_v1:width=0.25", 3)
    path = tmp_path / "weights.safetensors"
    pretrained.save(model, path)
    assert pretrained.load("mobilenet_v1", path).spec == "mobilenet_v1:width=0.25"
    saved = {"model": "mobilenet_v1:width=0.25", "format": "pt"}
    save_file(pretrained.state_dict(model), path, metadata=saved)
    loaded = pretrained.load("mobilenet_v1", path)
    assert loaded.spec == "mobilenet_v1:epsilon=1e-05,padding=torch,width=0.25"
    assert pretrained.read(path)[1] == loaded.spec


def archive(pickled: bytes, **entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("m/data.pkl", pickled)
        for name, content in entries.items():
            zipped.writestr(f"m/{name.replace('__', '/')}", content)
    return file.getvalue()


class Reduced:
    """Pickles as a call of `module.name` with these arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_file_that_wants_code_to_run_is_refused(tmp_path):
    flag = tmp_path / "ran"
    for name, function, argument in (
        ("a.pth", open, str(flag)),
        ("b.pth", exec, f"open({str(flag)!r}, 'w')"),
        ("c.pth", collections.Counter, "x"),
    ):
        path = tmp_path / name
        path.write_bytes(archive(pickle.dumps({"w": Reduced(function, argument)})))
        with pytest.raises(models.ModelError, match="which a state dict never needs"):
            pretrained.read(path)
    assert not flag.exists()


def tensor_pickle(size: int, shape: tuple, strides: tuple, offset: int = 0) -> bytes:
    """A pickle of {"w": tensor} as PyTorch writes it, of a float32 storage called "0"."""
    whole = torch_files._whole
    sizes = b"".join(
        pickle.MARK + b"".join(map(whole, each)) + pickle.TUPLE for each in (shape, strides)
    )
    return (
        pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + torch_files._text("w")
        + b"ctorch._utils\n_rebuild_tensor_v2\n" + pickle.MARK
        + pickle.MARK + torch_files._text("storage") + b"ctorch\nFloatStorage\n"
        + torch_files._text("0") + torch_files._text("cuda:0") + whole(size) + pickle.TUPLE
        + pickle.BINPERSID + whole(offset) + sizes + pickle.NEWFALSE
        + b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE
        + pickle.TUPLE + pickle.REDUCE + pickle.SETITEM + pickle.STOP
    )  # fmt: skip


VALUES = np.arange(6, dtype=np.float32)


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_zip_file_is_read_with_strides_and_byte_order(order, tmp_path):
    stored = VALUES.astype(VALUES.dtype.newbyteorder("<" if order == "little" else ">"))
    path = tmp_path / "weights.pth"
    pickled = tensor_pickle(6, (2, 2), (1, 3), offset=1)
    path.write_bytes(archive(pickled, data__0=stored.tobytes(), byteorder=order.encode()))
    np.testing.assert_array_equal(torch_files.read(path)["w"], [[1, 4], [2, 5]])


def test_a_file_of_the_older_kind_is_read(tmp_path):
    path = tmp_path / "weights.pth"
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001}]
    path.write_bytes(
        b"".join(pickle.dumps(each, protocol=2) for each in header)
        + tensor_pickle(6, (2, 3), (3, 1))
        + pickle.dumps(["0"], protocol=2)
        + struct.pack("<q", 6)
        + VALUES.tobytes()
    )
    np.testing.assert_array_equal(torch_files.read(path)["w"], VALUES.reshape(2, 3))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not weights",
        b"PK\x03\x04 cut off",
        archive(b"\x80\x02}q\x00."),
        archive(pickle.dumps({"epoch": 3})),
        archive(tensor_pickle(6, (2, 3), (3, 1))),
        archive(tensor_pickle(6, (2, 3), (3, 1)), data__0=b"short"),
        archive(tensor_pickle(6, (3, 3), (3, 1)), data__0=VALUES.tobytes()),
        archive(tensor_pickle(6, (2, 3), (-3, 1)), data__0=VALUES.tobytes()),
        archive(tensor_pickle(6, (2, 3), (3, 1)), data__0=VALUES.tobytes())[:-40],
    ],
    ids=["empty", "text", "cut", "no tensors", "numbers", "no storage", "short storage",
         "outside", "negative stride", "cut zip"],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_is_said_in_one_sentence(content, suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(models.ModelError, match="cannot be read as weights"):
        pretrained.read(path)


def test_a_checkpoint_with_the_state_dict_inside_is_read(tensors, tmp_path):
    inside = {"w": tensors["classifier.3.bias"]}
    torch_files.write(inside, tmp_path / "weights.pth")
    with zipfile.ZipFile(tmp_path / "weights.pth") as zipped:
        state = zipped.read("archive/data.pkl")[2:-1]
        data = zipped.read("archive/data/0")
    text = torch_files._text
    wrapped = (
        pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK
        + text("model") + state + text("epoch") + torch_files._whole(90)
        + pickle.SETITEMS + pickle.STOP
    )  # fmt: skip
    (tmp_path / "checkpoint.pth").write_bytes(archive(wrapped, data__0=data))
    read = torch_files.read(tmp_path / "checkpoint.pth")
    np.testing.assert_array_equal(read["w"], inside["w"])


def test_the_command_writes_weights_that_load(model, command_here, tmp_path):
    pretrained.save(model, tmp_path / "in.pth")
    out = tmp_path / "new" / "folder"
    done = command_here(
        "models.pretrained", f"--model={SPEC}", f"--weights={tmp_path / 'in.pth'}", f"--out={out}"
    )
    assert done.returncode == 0, done.stderr
    assert f"wrote {out / 'weights.safetensors'}: {SPEC}" in done.stdout
    assert pretrained.read(out / "weights.safetensors")[1] == SPEC


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=mobilenet_v3_small", "--weights=none.pth"], "there is no file none.pth."),
        (["--model=mobilenet_v4", "--weights=none.pth"], "there is no model 'mobilenet_v4'"),
        (["--model=resnet18", "--weights=none.zip"], "weights are .pth or .safetensors files"),
        (["--model=resnet18"], "--weights must be given; see --help."),
        (["--model=resnet18", "--weights=none.pth", "--plugins=no_such_module"], "there is no module"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_status_2(arguments, message, command_here, tmp_path):
    done = command_here("models.pretrained", *arguments, f"--out={tmp_path / 'out'}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(model, command_here, tmp_path):
    pretrained.save(model, tmp_path / "in.pth")
    (tmp_path / "file").write_text("")
    done = command_here(
        "models.pretrained",
        f"--model={SPEC}",
        f"--weights={tmp_path / 'in.pth'}",
        f"--out={tmp_path / 'file'}",
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*weights\.safetensors cannot be written: .*\n", done.stderr)


def test_only_known_suffixes_are_written(model, tmp_path):
    with pytest.raises(models.ModelError, match=r"not 'weights.npz'"):
        pretrained.save(model, tmp_path / "weights.npz")
