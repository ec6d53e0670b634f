"""Files that are named like weights and are something else are refused, each in one short sentence."""

import gzip
import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import save

import models
from models import pretrained, torch_files
from models.errors import LONGEST

WEIGHTS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}  # fmt: skip
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"

PROGRAM = "it is a TorchScript program; save the state_dict() of its module."


def archive(pickled: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("m/data.pkl", pickled)
    return file.getvalue()


def pytorch_file(tmp_path) -> bytes:
    torch_files.write(WEIGHTS, tmp_path / "sound.pth")
    return (tmp_path / "sound.pth").read_bytes()


def older_pytorch_file(tmp_path) -> bytes:
    """Returns the weights as PyTorch wrote them before version 1.6."""
    pytorch_file(tmp_path)
    with zipfile.ZipFile(tmp_path / "sound.pth") as zipped:
        state_dict = zipped.read("archive/data.pkl")
    header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    values = (struct.pack("<q", each.size) + each.tobytes() for each in WEIGHTS.values())
    return b"".join(
        [
            *(pickle.dumps(each, protocol=2) for each in header),
            state_dict,
            pickle.dumps(["0", "1"], protocol=2),
            *values,
        ]
    )


def safetensors_file(tmp_path=None) -> bytes:
    return save(WEIGHTS)


def with_header(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, **WEIGHTS)
    return file.getvalue()


def refusal(path) -> str:
    """Returns why a file is refused."""
    with pytest.raises(models.ModelError) as error:
        pretrained.read(path)
    message = str(error.value)
    assert message.startswith(f"{path} cannot be read as weights: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) <= LONGEST
    return message.partition("as weights: ")[2]


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty; download or copy it again."),
        (bytes(5000), "it begins with zeros alone; download or copy it again."),
        (LFS, "it is a Git LFS pointer and not the file itself; run git lfs pull."),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page; download or copy it again."),
        (b"\n <html>404</html>", "it is a web page; download or copy it again."),
        (b'<?xml version="1.0"?><Error/>', "it is a web page; download or copy it again."),
        (b'{"message": "Not Found"}', "it is a text file."),
        ("Bitte anmelden: für Gäste gesperrt\n".encode(), "it is a text file."),
        (gzip.compress(b"weights"), "it is a gzip file; unpack it first."),
        (npz(), "it is an archive of NumPy arrays (.npz)."),
        (b"\x93NUMPY\x01\x00", "it is a NumPy array."),
        (b"\x89HDF\r\n\x1a\n\0", "it is an HDF5 file, as Keras writes them."),
        (archive(b".").replace(b"data.pkl", b"data.txt"), "it is a zip archive, and none of PyTorch's."),
        (archive(b".").replace(b"m/data.pkl", b"m/code/.py"), PROGRAM),
    ],
    ids=["empty", "zeros", "LFS", "HTML", "HTML later", "XML", "JSON", "text", "gzip", "npz", "npy",
         "HDF5", "zip", "TorchScript"],
)  # fmt: skip
def test_another_kind_of_file_is_named(content, reason, suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    assert refusal(path) == reason


def test_a_folder_is_no_file_of_weights(tmp_path):
    path = tmp_path / "weights.pth"
    path.mkdir()
    assert refusal(path) == "it is a folder; give one of its files."


def test_a_format_under_the_others_suffix_is_told_its_own(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(pytorch_file(tmp_path))
    (tmp_path / "b.safetensors").write_bytes(older_pytorch_file(tmp_path))
    (tmp_path / "c.pth").write_bytes(safetensors_file())
    assert refusal(tmp_path / "a.safetensors") == "it is a file of PyTorch's; name it .pth."
    assert refusal(tmp_path / "b.safetensors") == "it is a file of PyTorch's; name it .pth."
    assert refusal(tmp_path / "c.pth") == "it is a safetensors file; name it .safetensors."


@pytest.mark.parametrize("suffix", [".PTH", ".bin", ".ckpt", ".pth.tar"])
def test_pytorchs_files_are_read_by_their_other_suffixes(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(pytorch_file(tmp_path))
    np.testing.assert_array_equal(pretrained.read(path)[0]["a.bias"], WEIGHTS["a.bias"])


@pytest.mark.parametrize(
    ("make", "suffix"),
    [(pytorch_file, ".pth"), (older_pytorch_file, ".pth"), (safetensors_file, ".safetensors")],
)
def test_no_beginning_of_a_file_is_weights(make: Callable, suffix, tmp_path):
    whole, path = make(tmp_path), tmp_path / f"weights{suffix}"
    path.write_bytes(whole)
    assert pretrained.read(path)[0].keys() == WEIGHTS.keys()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refusal(path)


@pytest.mark.parametrize(
    ("make", "suffix"),
    [(pytorch_file, ".pth"), (older_pytorch_file, ".pth"), (safetensors_file, ".safetensors")],
)
def test_damaged_bytes_give_tensors_or_one_sentence(make: Callable, suffix, tmp_path):
    """Some damage is in values or names, and no file says so."""
    chance, whole, path = random.Random(0), make(tmp_path), tmp_path / f"weights{suffix}"
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            pretrained.read(path)
        except models.ModelError as error:
            assert len(str(error)) <= LONGEST  # noqa: PT017 (any other error fails the test)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 1},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 400]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}},
    ],
    ids=["list", "number", "beyond", "short", "huge", "negative", "type", "left over", "reversed"],
)
def test_a_safetensors_header_that_lies_is_refused(header, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(with_header(header, bytes(8)))
    assert "damaged (" in refusal(path) or "text" in refusal(path)


def test_a_safetensors_header_of_another_length_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    for length in (0, 3, 2**33, 2**63):
        path.write_bytes(struct.pack("<Q", length) + safetensors_file()[8:])
        assert "it is cut short or damaged (" in refusal(path)


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "C64"])
def test_types_that_are_not_read_are_named_with_their_tensor(kind, tmp_path):
    path, size = tmp_path / "weights.safetensors", 16 if kind == "C64" else 2
    path.write_bytes(
        with_header({"a": {"dtype": kind, "shape": [2], "data_offsets": [0, size]}}, bytes(size))
    )
    assert refusal(path) == f"tensor a is of type {kind}, which is not read; convert it to F32."


def test_a_file_without_tensors_holds_no_weights(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(save({}))
    (tmp_path / "w.pth").write_bytes(archive(pickle.dumps({"epoch": 3})))
    assert refusal(tmp_path / "w.safetensors") == "it holds no tensors."
    assert refusal(tmp_path / "w.pth") == "it holds no tensors by name."


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x09.",
        b"\x80\x02\xff.",
        b"\x80\x02Q.",
        b"\x80\x02K\x05Q.",
        b"\x80\x02(X\x07\x00\x00\x00storageNNNNtQ.",
        b"\x80\x02K\x01)R.",
        b"\x80\x02((((((((.",
        b"\x80\x02ccollections\nOrderedDict\nK\x05\x85R.",
        b"\x80\x02" + REBUILD + b")R.",
        b"\x80\x02}X\x01\x00\x00\x00a" + REBUILD + b"(NK\x00(K\x03t(K\x01ttRs.",
        b"\x80\x02" + REBUILD + b"}X\x08\x00\x00\x00functionK\x01sb.",
        b"\x80\x02ctorch\nFloatStorage\n]K\x01ab.",
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x02}r\xff\xff\xff\x7f.",
        b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.",
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
        b"\x80\x02]K\x01a.",
        b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
        b"I1\n.",
    ],
    ids=["nothing", "cut", "empty", "protocol", "opcode", "no id", "number as id", "no storage",
         "number called", "marks", "odd dict", "no arguments", "tensor of None", "changed function",
         "changed type", "memo", "huge memo", "deep tuples", "long text", "long frame", "list",
         "itself", "older"],
)  # fmt: skip
@pytest.mark.parametrize("wrapped", [archive, bytes], ids=["zip", "older"])
def test_a_pickle_that_goes_wrong_is_one_sentence(wrapped, pickled, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(wrapped(pickled))
    refusal(path)


class Called:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("wrapped", [archive, bytes], ids=["zip", "older"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_a_pickle_is_run(protocol, wrapped, tmp_path):
    made = tmp_path / "made"
    path = tmp_path / "weights.pth"
    for call in (
        Called(os.system, f"touch {made}"),
        Called(os.mkdir, str(made)),
        Called(eval, f"open({str(made)!r}, 'w')"),
        Called(getattr, "x", "upper"),
    ):
        path.write_bytes(wrapped(pickle.dumps({"state_dict": {}, "x": call}, protocol)))
        refusal(path)
        assert not made.exists()


def test_a_pickled_module_is_told_to_be_no_state_dict(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(archive(b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81."))
    assert refusal(path) == (
        "it asks for torchvision.models.resnet.ResNet, which a state dict never needs."
    )
    for kind in (b"ctorch\nQInt8Storage\n", b"ctorch._utils\n_rebuild_qtensor\n"):
        path.write_bytes(archive(b"\x80\x02" + kind + b"."))
        assert "tensors of a kind that no model here has" in refusal(path)


def tensor(size: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Returns an archive of {"w": tensor} whose storage "0" has two values, and `size` in the pickle."""
    text, whole = torch_files._text, torch_files._whole
    sizes = b"".join(b"(" + b"".join(map(whole, each)) + b"t" for each in (shape, strides))
    reference = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    pickled = (
        b"\x80\x02}" + text("w") + REBUILD + b"(" + reference + whole(size) + b"tQ" + whole(0)
        + sizes + b"\x89}tRs."
    )  # fmt: skip
    file = io.BytesIO(archive(pickled))
    with zipfile.ZipFile(file, "a") as zipped:
        zipped.writestr("m/data/0", bytes(8))
    return file.getvalue()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((2, (3,), (1,)), "a tensor has more elements than its storage."),
        ((2, (2,), (2,)), "a tensor reaches outside its storage."),
        ((2, (10**9, 10**9), (0, 0)), "a tensor has more elements than its storage."),
        ((2, (2, 1), (-1, 1)), "a tensor has an impossible shape."),
        ((2, (-1, -1), (1, 1)), "a tensor has an impossible shape."),
        ((3, (2,), (1,)), "storage 0 has 8 bytes instead of 12; download or copy the file again."),
    ],
)
def test_a_tensor_stays_in_its_storage(arguments, reason, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(tensor(2, (2, 1), (1, 1)))
    assert pretrained.read(path)[0]["w"].shape == (2, 1)
    path.write_bytes(tensor(*arguments))
    assert refusal(path) == reason


def test_an_archive_that_unpacks_to_much_more_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("m/data.pkl", bytes(10**7))
    assert refusal(path) == "it is a zip archive that unpacks to over 100 times its size."


def test_long_paths_and_names_make_no_long_message(tmp_path):
    folder = tmp_path / ("a" * 200) / ("b" * 200)
    folder.mkdir(parents=True)
    path = folder / "weights.pth"
    path.write_bytes(archive(b"\x80\x02c" + b"m" * 500 + b"\n" + b"n" * 500 + b"\n."))
    for given in (path, folder / "none.pth", folder / ("c" * 200 + ".zip")):
        with pytest.raises(models.ModelError) as error:
            pretrained.load("resnet18", given)
        assert len(str(error.value)) <= LONGEST


CLASSES = 3


@pytest.fixture(scope="module")
def tensors(seeded):
    return pretrained.state_dict(seeded.model("squeezenet1_1", CLASSES))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([0, np.nan, np.inf], np.float32), "classifier.1.bias has NaN."),
        (np.array([0, -np.inf, 0], np.float32), "classifier.1.bias has infinite values."),
        (np.array([0, 1e300, 0]), "classifier.1.bias has infinite values."),
        (np.zeros(3, np.int8), "classifier.1.bias is of int8, as if it were quantized."),
    ],
    ids=["NaN", "infinity", "too large", "int8"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_values_that_no_weights_have_are_refused(values, reason, suffix, tensors, tmp_path):
    path = tmp_path / f"weights{suffix}"
    odd = tensors | {"classifier.1.bias": values}
    if suffix == ".pth":
        torch_files.write(odd, path)
    else:
        path.write_bytes(save(odd))
    with pytest.raises(models.ModelError) as error:
        pretrained.load("squeezenet1_1", path)
    assert str(error.value) == f"{path} holds no usable weights: {reason}"


def test_negative_variances_are_refused(seeded):
    model = seeded.model("mobilenet_v3_small", CLASSES)
    odd = pretrained.state_dict(model)
    odd["features.0.1.running_var"] = -odd["features.0.1.running_var"]
    with pytest.raises(models.ModelError, match=r"features\.0\.1\.running_var has negative"):
        pretrained.assign(model, odd)


def test_weights_of_an_unknown_model_name_their_file(tensors, tmp_path):
    path = tmp_path / "weights.safetensors"
    for saved in ("", "my_net", "squeezenet1_1:final=1"):
        path.write_bytes(save(tensors, {"model": saved}))
        with pytest.raises(models.ModelError, match="was saved from a model that is not known"):
            pretrained.load("squeezenet1_1", path)
