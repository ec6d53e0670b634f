"""An exported file gives the run's logits in a process that has JAX and nothing of this project."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx

import models
from benchmarks import export
from benchmarks.errors import ConfigError
from benchmarks.inference import trained_model
from models import pretrained

_ALONE = """
import sys, json, numpy as np
from jax import export
images = np.load(sys.argv[2])
program = export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
assert "models" not in sys.modules and set(program.platforms) == {"cpu", "cuda", "tpu"}
np.save(sys.argv[3], np.asarray(program.call(images)))
"""


@pytest.fixture(scope="module")
def trained(short_run):
    return trained_model.from_run(short_run[0])


def images(trained, count):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, trained.image_size, trained.image_size, 3), np.uint8)


def test_a_stablehlo_file_runs_without_the_project_on_any_batch_size(trained, tmp_path):
    exported = export.export_model(trained, "stablehlo", tmp_path / "tiny.stablehlo")
    assert exported.largest_difference < 1e-5
    pictures = images(trained, 3)
    np.save(tmp_path / "images.npy", pictures)
    arguments = [exported.path, tmp_path / "images.npy", tmp_path / "logits.npy"]
    ended = subprocess.run(
        [sys.executable, "-c", _ALONE, *map(str, arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    logits = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(logits, jax.jit(trained.logits)(pictures), atol=1e-5)


def test_a_safetensors_file_holds_torchvision_names_and_gives_the_same_logits(trained, tmp_path):
    exported = export.export_model(trained, "safetensors", tmp_path / "tiny.safetensors")
    assert exported.largest_difference == 0
    tensors, model = pretrained.read(exported.path)
    assert model == "tiny"
    assert tensors["conv.weight"].shape == (8, 3, 3, 3)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "googlenet"])
def test_torchvision_loads_the_file_and_gives_the_same_logits(name, torch, torchvision, tmp_path):
    drawn = models.create(name, 10, rngs=nnx.Rngs(params=0))
    pretrained.save(drawn, tmp_path / "drawn.safetensors")
    trained = trained_model.from_weights(name, tmp_path / "drawn.safetensors", image_size="64")
    exported = export.export_model(trained, "safetensors", tmp_path / "exported.safetensors")
    options = {"init_weights": False} if name == "googlenet" else {}
    theirs = getattr(torchvision.models, name)(num_classes=10, **options).eval()
    tensors, _ = pretrained.read(exported.path)
    theirs.load_state_dict({key: torch.from_numpy(value) for key, value in tensors.items()})
    # Called after the whole name, so that a file of the other format may lie beside it.
    assert exported.description == tmp_path / "exported.safetensors.json"
    told = json.loads(exported.description.read_text())["input"]["normalization"]
    pictures = images(trained, 4)
    fed = (pictures / np.float32(255) - np.float32(told["mean"])) / np.float32(told["std"])
    with torch.no_grad():
        logits = theirs(torch.from_numpy(fed.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(logits, jax.jit(trained.logits)(pictures), atol=1e-4)


def test_the_description_says_how_the_file_is_fed(trained, tmp_path):
    exported = export.export_model(trained, "safetensors", tmp_path / "tiny.safetensors")
    description = json.loads(exported.description.read_text())
    assert description["labels"] == [str(digit) for digit in range(10)]
    assert description["input"]["shape"] == ["batch", 32, 32, 3]
    assert "shorter side to 32 pixels, bilinear" in description["input"]["resize"]
    assert not description["input"]["normalization"]["inside"]
    assert description["weights_digest"] == trained.record.weights_digest


def test_a_file_with_other_logits_is_an_error(trained, tmp_path, monkeypatch):
    other = dataclasses.replace(trained, params=jax.tree.map(lambda each: 2 * each, trained.params))

    def write(_, path):
        pretrained.save(other.module(), path)

    monkeypatch.setitem(
        export._WRITE_AND_READ, "safetensors", (write, export._WRITE_AND_READ["safetensors"][1])
    )
    with pytest.raises(RuntimeError, match="logits that differ"):
        export.export_model(trained, "safetensors", tmp_path / "tiny.safetensors")


def test_a_format_that_there_is_not_is_refused(trained, tmp_path):
    with pytest.raises(ConfigError, match="a format is stablehlo or safetensors"):
        export.export_model(trained, "onnx", tmp_path / "tiny.onnx")
