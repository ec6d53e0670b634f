"""Damaged and hostile files of every format are refused in one short sentence, and cost no more than their size."""

import collections
import io
import json
import random
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest

import models
from models import pretrained
from models.errors import LONGEST
from models.weight_files import caffe, keras_program, order

Sample = Callable[[Path], Path]


@pytest.fixture(scope="module")
def samples(networks, seeded) -> dict[str, Sample]:
    """Functions that write a small sound file of each format into a folder and return its path."""
    operations = networks.mobilenet_v1()[:6]
    model = seeded.model("mobilenet_v1:width=0.25", 5)
    tensors = pretrained.state_dict(model)
    layers = networks.keras_layers(operations, networks.mobilenet_v1_in_keras(operations), tensors)

    def onnx_model(path: Path) -> None:
        networks.write_onnx(path, operations, tensors)

    def keras_archive(path: Path) -> None:
        content = io.BytesIO()
        networks.write_keras_3(content, layers, named=False)
        config = [{"class_name": kind, "config": {"name": name}} for kind, name, _ in layers]
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"config": {"layers": config}}))
            archive.writestr("model.weights.h5", content.getvalue())

    writers: dict[str, Callable[[Path], object]] = {
        "model.onnx": onnx_model,
        "model.tflite": lambda path: networks.write_tflite(path, operations, tensors, kind="int8"),
        "model.json": lambda path: networks.write_tensorflowjs_graph(path, operations, tensors),
        "weights.caffemodel": lambda path: networks.write_caffemodel(path, operations, tensors),
        "weights.h5": lambda path: networks.write_keras_2(path, layers),
        "model.weights.h5": lambda path: networks.write_keras_3(path, layers, named=True),
        "model.keras": keras_archive,
    }

    def sample(name: str) -> Sample:
        def write(folder: Path) -> Path:
            writers[name](folder / name)
            return folder / name

        return write

    return {name: sample(name) for name in writers}


NAMES = (
    *("model.onnx", "model.tflite", "model.json", "weights.caffemodel"),
    *("weights.h5", "model.weights.h5", "model.keras"),
)
KERAS = (".h5", ".keras")


def refusal(path: Path) -> str:
    """Returns why a file is refused."""
    with pytest.raises(models.ModelError) as error:
        read(path)
    return checked(error.value)


def checked(error: models.ModelError) -> str:
    message = str(error)
    assert len(message) <= LONGEST
    assert "\n" not in message
    return message.partition("as weights: ")[2]


def read(path: Path) -> None:
    """Reads a file, and puts the layers of its graph in order."""
    source = pretrained.read_source(path)
    try:
        order.units(source.outputs)
    except models.weight_files.WeightFileError as error:
        raise models.ModelError(str(error)) from error


def damaged(whole: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yields `count` files that differ in a few bytes, are cut short, or repeat a piece."""
    chance = random.Random(seed)
    for _ in range(count):
        content = bytearray(whole)
        for _ in range(1 + chance.randrange(8) ** 2 // 8):
            at = chance.randrange(len(content))
            content[at] = chance.choice((0, 1, 48, 55, 127, 255, chance.randrange(256)))
        if chance.random() < 0.2:
            start, end = sorted(chance.randrange(len(content)) for _ in range(2))
            content[start:start] = content[start:end][:100]
        if chance.random() < 0.2:
            del content[chance.randrange(len(content)) :]
        yield bytes(content)


def peak_memory() -> int:
    """Returns the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(path: Path, count: int, seed: int) -> None:
    """Reads damaged files, each of which is read or refused."""
    before, outcomes = peak_memory(), set()
    for content in damaged(path.read_bytes(), count, seed):
        path.write_bytes(content)
        try:
            read(path)
            outcomes.add("read")
        except models.ModelError as error:
            checked(error)
            outcomes.add("refused")
    assert peak_memory() - before < 300e6  # whatever their headers claim
    assert outcomes == {"read", "refused"}  # else the damage is too slight, or too great


# Reads each file that is named on a line of its input in a process of its own, and prints how that ended.
READ_EACH = """
import os, resource, sys
import h5py
sys.path.append(sys.argv[1])
import keras_program
for line in sys.stdin:
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            keras_program.read(line.rstrip())
        except keras_program.RefusedError as error:
            os._exit(keras_program.REFUSED if "\\n" not in str(error) and len(str(error)) < 200 else 9)
        except BaseException:
            os._exit(9)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def fuzz_keras(path: Path, count: int, seed: int) -> None:
    """Reads damaged files by the program that `keras.read` runs, which reads or refuses each, or crashes."""
    paths = []
    for index, content in enumerate(damaged(path.read_bytes(), count, seed)):
        paths.append(path.with_name(f"{index}{path.suffix}"))
        paths[-1].write_bytes(content)
    folder = str(Path(keras_program.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", READ_EACH, folder], input="".join(f"{each}\n" for each in paths),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    statuses = collections.Counter(map(int, done.stdout.split()))
    assert statuses.total() == count
    assert statuses[0]
    assert statuses[keras_program.REFUSED]
    ended = {status for status in statuses if status not in (0, keras_program.REFUSED)}
    assert all(status < 0 for status in ended), statuses


@pytest.mark.parametrize("name", NAMES)
def test_damaged_bytes_give_tensors_or_one_sentence(name, samples, tmp_path):
    path = samples[name](tmp_path)
    read(path)
    (fuzz_keras if path.suffix in KERAS else fuzz)(path, 200, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("name", NAMES)
def test_much_damage_gives_tensors_or_one_sentence(name, seed, samples, tmp_path):
    path = samples[name](tmp_path)
    (fuzz_keras if path.suffix in KERAS else fuzz)(path, 2_000, seed)


@pytest.mark.parametrize("name", NAMES)
def test_no_beginning_of_a_file_is_weights(name, samples, tmp_path):
    path = samples[name](tmp_path)
    whole = path.read_bytes()
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 64):
        path.write_bytes(whole[:length])
        if name == "weights.caffemodel" and length in (8, 100):
            continue  # a piece of a message may be one itself
        refusal(path)


def test_what_hdf5_cannot_survive_is_one_sentence(samples, tmp_path, monkeypatch):
    path = samples["weights.h5"](tmp_path)
    program = tmp_path / "crash.py"
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(keras_program, "__file__", str(program))
    assert refusal(path) == "HDF5 cannot read it, so it is damaged; download or copy it again."


def keras_file(path: Path) -> h5py.File:
    file = h5py.File(path, "w")
    file.attrs["layer_names"] = [b"conv1"]
    file.create_group("conv1").attrs["weight_names"] = [b"conv1/kernel:0"]
    return file


@pytest.mark.parametrize("link", [h5py.SoftLink("/x"), h5py.ExternalLink("other.h5", "/x")])
def test_links_out_of_a_keras_file_are_refused(link, tmp_path):
    with keras_file(tmp_path / "w.h5") as file:
        file["x"] = np.zeros(3, np.float32)
        file["conv1/conv1/kernel:0"] = link
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.zeros(3, np.float32)
    assert refusal(tmp_path / "w.h5") == "conv1/kernel:0 is a link to something else."


def test_values_of_a_keras_file_are_in_it(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(64))
    with keras_file(tmp_path / "external.h5") as file:
        outside = [(str(tmp_path / "secret"), 0, 64)]
        file.create_dataset("conv1/conv1/kernel:0", (4, 4), np.float32, external=outside)
    assert "are in another file." in refusal(tmp_path / "external.h5")
    with keras_file(tmp_path / "virtual.h5") as file:
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(4,))
        file.create_virtual_dataset("conv1/conv1/kernel:0", layout)
    assert "are in another file." in refusal(tmp_path / "virtual.h5")
    with keras_file(tmp_path / "empty.h5") as file:
        file.create_dataset("conv1/conv1/kernel:0", (2**20, 2**10), np.float32, chunks=True)
    assert refusal(tmp_path / "empty.h5") == "conv1/kernel:0 is larger than the file."


def test_bombs_are_refused(tmp_path):
    with keras_file(tmp_path / "bomb.h5") as file:
        zeros = np.zeros((2**22,), np.float32)
        file.create_dataset("conv1/conv1/kernel:0", data=zeros, compression="gzip")
    assert refusal(tmp_path / "bomb.h5") == "conv1/kernel:0 is larger than the file."
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10**7))
    reason = "it is a zip archive that unpacks to over 10 times its size."
    assert refusal(tmp_path / "bomb.keras") == reason


def onnx_file(path: Path, *initializers: onnx.TensorProto) -> Path:
    graph = onnx.helper.make_graph([], "g", [], [], list(initializers))
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/secret", "none"])
def test_values_of_an_onnx_model_are_beside_it(location, tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for each in (tmp_path / "secret", folder / "sub" / "secret"):
        each.write_bytes(bytes(64))
    tensor = onnx.TensorProto(name="w", dims=[4], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value=location)
    path = onnx_file(folder / "m.onnx", tensor)
    assert "its values should lie beside it, in " in refusal(path)


def test_an_onnx_tensor_has_as_many_values_as_its_shape_says(tmp_path):
    huge = onnx.TensorProto(name="w", dims=[2**40, 2**20], data_type=1, raw_data=bytes(8))
    assert refusal(onnx_file(tmp_path / "m.onnx", huge)) == "tensor w is larger than the file."
    negative = onnx.TensorProto(name="w", dims=[-1], data_type=1, raw_data=bytes(4))
    assert refusal(onnx_file(tmp_path / "n.onnx", negative)) == "tensor w has an impossible shape."


@pytest.mark.parametrize("shard", ["../secret.bin", "/etc/passwd", "none.bin"])
def test_shards_of_tensorflow_js_are_beside_it(shard, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    weights = [{"name": "conv1/kernel", "shape": [1], "dtype": "float32"}]
    manifest = [{"paths": [shard], "weights": weights}]
    (folder / "model.json").write_text(
        json.dumps({"modelTopology": {}, "weightsManifest": manifest})
    )
    assert "its weights should lie beside it, in " in refusal(folder / "model.json")


def test_a_graph_of_tensorflow_js_does_not_depend_on_itself(tmp_path):
    nodes = [{"name": name, "op": "Relu", "input": [other]} for name, other in ("ab", "ba")]
    text = json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": []})
    (tmp_path / "model.json").write_text(text)
    assert refusal(tmp_path / "model.json") == "its operations depend on themselves."


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "{}", "[]", "7", '{"weightsManifest": 1, "modelTopology": 2}']
)
def test_other_json_is_no_model_of_tensorflow_js(content, tmp_path):
    (tmp_path / "model.json").write_text(content)
    assert "TensorFlow.js's" in refusal(tmp_path / "model.json")


LIBRARIES = {
    "h5py": "weights.h5",
    "tflite": "model.tflite",
    "onnx": "model.onnx",
    "google.protobuf.descriptor_pb2": "weights.caffemodel",
}


@pytest.mark.parametrize("module", LIBRARIES)
def test_a_missing_library_is_told_with_how_to_get_it(module, samples, tmp_path, monkeypatch):
    path = samples[LIBRARIES[module]](tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    caffe._network_message.cache_clear()
    library = module.removeprefix("google.").partition(".")[0]
    assert (
        refusal(path)
        == f"reading it takes the library {library}: pip install 'isobudget[weights]'."
    )
