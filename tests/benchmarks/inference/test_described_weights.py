"""Commands feed a file of weights as the description beside it says, and show where they were told otherwise."""

import dataclasses
import json

import numpy as np
import pytest
from flax import nnx
from PIL import Image

import models
from benchmarks import export
from benchmarks.errors import ConfigError
from benchmarks.evaluate import evaluate_run, evaluate_weights
from benchmarks.explain import features
from benchmarks.inference import trained_model
from benchmarks.recognize import Recognizer
from benchmarks.tasks import TASKS
from benchmarks.weights import transfer
from models import ModelError, pretrained, weight_description
from models.weight_description import describe
from results import records
from results.records import evaluations

NAMES = ("ant", "bee", "cow")
STATED = {
    "mean": (0.1, 0.2, 0.3),
    "std": (0.5, 0.6, 0.7),
    "image_size": 32,
    "crop_fraction": 0.5,
    "interpolation": "bicubic",
    "classes": NAMES,
}


@pytest.fixture
def drawn(tmp_path):
    """Weights of `tiny`, drawn at random, without a description."""
    path = tmp_path / "net.safetensors"
    pretrained.save(models.create("tiny:width=4", 3, rngs=nnx.Rngs(params=0)), path)
    return path


@pytest.fixture
def described(drawn):
    weight_description.write(describe("tiny:width=4", 3, STATED), drawn)
    return drawn


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


def logits_by_hand(path, noise, mean, std):
    images = (noise / 255 - np.float32(mean)) / np.float32(std)
    return np.asarray(pretrained.load("tiny", path)(images.astype(np.float32)))


def test_weights_are_fed_as_they_are_described(described, noise):
    trained = trained_model.from_weights(None, described)
    expected = logits_by_hand(described, noise, STATED["mean"], STATED["std"])
    np.testing.assert_allclose(trained.logits(noise), expected, atol=1e-5)
    assert trained.label == "tiny:width=4"
    assert trained.class_names == NAMES
    assert (trained.image_size, trained.config.crop_fraction) == (32, 0.5)
    assert trained.config.interpolation == "bicubic"
    assert (trained.overridden, trained.remarks) == ({}, ())
    assert trained.needs.assumed == ("channel_order",)


def test_without_a_description_the_registrys_values_are_said_to_be_assumed(drawn, noise):
    trained = trained_model.from_weights("tiny", drawn, image_size="32", mean=(0.0, 0.0, 0.0))
    info = models.info("tiny")
    expected = logits_by_hand(drawn, noise, (0, 0, 0), info.std)
    np.testing.assert_allclose(trained.logits(noise), expected, atol=1e-5)
    assert {"std", "crop_fraction", "classes"} <= {*trained.needs.assumed}
    assert not {"mean", "image_size"} & {*trained.needs.assumed}
    assert trained.class_names == ("class 0", "class 1", "class 2")
    assert trained.label == "tiny:width=4"  # the file says it


def test_what_a_caller_says_goes_over_the_description_and_shows(described, noise):
    trained = trained_model.from_weights(None, described, mean=[0.4, 0.4, 0.4], image_size="64")
    expected = logits_by_hand(described, noise, (0.4, 0.4, 0.4), STATED["std"])
    np.testing.assert_allclose(trained.logits(noise), expected, atol=1e-5)
    assert trained.overridden == {
        "mean": (STATED["mean"], (0.4, 0.4, 0.4)),
        "image_size": (32, 64),
    }
    assert f"image_size=64 in place of 32, which {described.with_name('net.json')} says" in "".join(
        trained.remarks
    )


def test_blue_comes_first_where_the_weights_expect_it(described, noise, tmp_path):
    ours = trained_model.from_weights(None, described)
    tensors, _ = pretrained.read(described)
    tensors["conv.weight"] = tensors["conv.weight"][:, ::-1]
    turned = models.create("tiny:width=4", 3)
    pretrained.assign(turned, tensors)
    path = tmp_path / "bgr.safetensors"
    pretrained.save(turned, path)
    stated = STATED | {"channel_order": "bgr"}
    stated |= {name: STATED[name][::-1] for name in ("mean", "std")}
    weight_description.write(describe("tiny:width=4", 3, stated), path)
    theirs = trained_model.from_weights(None, path)
    np.testing.assert_allclose(theirs.logits(noise), ours.logits(noise), atol=1e-5)
    np.testing.assert_array_equal(features.first_filters(theirs), features.first_filters(ours))
    for file_format in export.FORMATS:
        exported = export.export_model(theirs, file_format, tmp_path / f"out.{file_format}")
        told = json.loads(exported.description.read_text())["input"]
        mean = list(STATED["mean"])
        channels = ("RGB", mean) if file_format == "stablehlo" else ("BGR", mean[::-1])
        assert (told["channels"], told["normalization"]["mean"]) == channels


@pytest.mark.parametrize(
    ("model", "change", "reason"),
    [
        ("squeezenet1_1", {}, "describes weights of tiny, not of squeezenet1_1"),
        (None, {"classes": ("a", "b")}, "tells 3 classes apart, and 2 are named"),
        (None, {"mean": (1, 2)}, "mean is three numbers"),
        (None, {"padding": "torch"}, "model 'tiny' has no option 'padding=torch'"),
        (None, {"widht": 3}, "there is no field 'widht' to change"),
        ("tiny:width=8", {}, "does not fit tiny: shapes differ"),
    ],
)
def test_what_cannot_be_is_refused(described, model, change, reason):
    with pytest.raises((ConfigError, ModelError), match=reason):
        trained_model.from_weights(model, described, **change)


def test_a_model_must_be_named_where_nothing_describes_it(drawn):
    with pytest.raises(ConfigError, match=r"say --model: there is no .*net\.json that describes"):
        trained_model.from_weights(None, drawn)
    with pytest.raises(ConfigError, match=r"there is no file nowhere\.pth"):
        trained_model.from_weights(None, "nowhere.pth")


def test_a_damaged_description_ends_every_command_in_one_sentence(command_here, described):
    description = described.with_name("net.json")
    description.write_text(description.read_text()[:100])
    picture, out = (described.with_name(name) for name in ("picture.png", "out"))
    Image.new("RGB", (32, 32)).save(picture)
    for name, arguments in {
        "evaluate": [],
        "recognize": [str(picture)],
        "explain": [f"--out={out}", str(picture)],
        "export": [f"--out={out}/file"],
    }.items():
        ended = command_here(f"benchmarks.{name}", f"--weights={described}", *arguments)
        assert ended.returncode == 2, name
        assert "net.json cannot be read as a description of weights" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_the_command_evaluates_by_flags_and_writes_what_was_fed(
    command_here, described, data_dir, tmp_path
):
    out = tmp_path / "figures.json"
    root = tmp_path / "pictures"
    for name in NAMES:
        (root / "validation" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), "red" if name == "ant" else "blue").save(
            root / "validation" / name / "a.png"
        )
    arguments = (f"--weights={described}", f"--dataset=folder:{root}", f"--out={out}")
    ended = command_here("benchmarks.evaluate", *arguments, "--std=0.25", "--interpolation=bicubic")
    assert ended.returncode == 0, ended.stderr
    assert "mean 0.1,0.2,0.3, deviation 0.25,0.25,0.25, crop 0.5, bicubic" in ended.stdout
    assert "changed: std=0.25,0.25,0.25 in place of 0.5,0.6,0.7, which" in ended.stdout
    figures = json.loads(out.read_text())
    assert figures["needs"]["mean"] == [0.1, 0.2, 0.3]
    assert figures["overridden"] == {"std": [[0.5, 0.6, 0.7], [0.25, 0.25, 0.25]]}
    assert figures["described_in"] == str(described.with_name("net.json"))


def test_recognition_prints_the_described_names(command_here, described, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    arguments = (f"--weights={described}", "--format=jsonl", str(tmp_path / "a.png"))
    ended = command_here("benchmarks.recognize", *arguments, "--crop_fraction=1")
    assert ended.returncode == 0, ended.stderr
    assert {*json.loads(ended.stdout)["confidences"]} == {*NAMES}
    assert "changed: crop_fraction=1.0 in place of 0.5" in ended.stderr


def test_imagenets_synsets_are_shown_in_words(copied_run):
    (copied_run / "class_names.json").write_text(json.dumps([f"n0{each}" for each in range(10)]))
    assert trained_model.from_run(copied_run).class_names[0] == "n00"
    synsets = models.imagenet_classes.SYNSETS[:10]
    (copied_run / "class_names.json").write_text(json.dumps(synsets))
    names = Recognizer.from_run(copied_run).trained.logit_names
    assert names == models.imagenet_classes.WORDS[:10]


def test_a_run_is_fed_otherwise_on_request_and_the_evaluation_says_so(short_run, copied_run):
    evaluation = evaluate_run(copied_run, mean=(0.5, 0.5, 0.5), name="half")
    own = trained_model.from_run(short_run[0]).setup
    assert evaluation.overridden == {"mean": (own.mean, (0.5, 0.5, 0.5))}
    assert evaluation.needs["std"] == list(own.std)
    kept = evaluations.read(copied_run / "evaluations" / "half.json")
    assert kept.needs["mean"] == [0.5, 0.5, 0.5]
    assert "--mean=0.5,0.5,0.5 --split=test" in kept.command
    assert evaluation.metrics["loss"] != short_run[1].metrics.test["loss"]
    own = evaluate_run(short_run[0])
    assert (own.overridden, own.needs["assumed"]) == ({}, [])
    with pytest.raises(ConfigError, match="--classes goes with --weights"):
        evaluate_run(short_run[0], classes="imagenet")


def test_an_exported_run_is_evaluated_as_the_run_was(short_run, data_dir, tmp_path):
    path = tmp_path / "tiny.safetensors"
    export.export_model(trained_model.from_run(short_run[0]), "safetensors", path)
    evaluation = evaluate_weights(None, path, "digits", "test", data_dir=data_dir)
    assert dict(evaluation.metrics) == short_run[1].metrics.test
    assert evaluation.needs["assumed"] == []


def test_an_exported_run_decides_as_the_run_does(short_run, tmp_path, noise):
    """A run of many labels: its thresholds and its temperature go with its weights."""
    trained = trained_model.from_run(short_run[0])
    task = TASKS["multi_label"]
    thresholds = {str(label): 0.05 + 0.02 * label for label in range(10)}
    decision = records.Decision(thresholds=thresholds, temperature=2.0)
    config = trained.config.copy_and_resolve_references()
    config.task = task.name
    trained = dataclasses.replace(
        trained,
        setup=dataclasses.replace(trained.setup, config=config, task=task),
        model=dataclasses.replace(trained.model, task=task),
        record=dataclasses.replace(trained.record, decision=decision),
    )
    path = tmp_path / "tiny.safetensors"
    export.export_model(trained, "safetensors", path)
    images = [*noise]
    ours = Recognizer(trained).recognize(images)
    theirs = Recognizer.from_weights(None, path).recognize(images)
    assert theirs.decisions == ours.decisions
    assert theirs.calibrated
    np.testing.assert_allclose(theirs.confidences, ours.confidences, rtol=1e-5)


def test_a_transfer_asks_for_the_normalization_that_the_weights_need(config, described):
    config.model, config.init_from = "tiny:width=4", str(described)
    with pytest.raises(ConfigError, match=r"net\.json says that the weights need config\.mean="):
        transfer.source(config)
    config.mean, config.std = STATED["mean"], STATED["std"]
    assert transfer.source(config).path == described
    config.model = "tiny"
    with pytest.raises(ConfigError, match=r"says config\.model=tiny:width=4, and the run has tiny"):
        transfer.source(config)
    config.model = "tiny:width=4"
    stated = STATED | {"channel_order": "bgr"}
    weight_description.write(describe("tiny:width=4", 3, stated), described)
    with pytest.raises(ConfigError, match="expect BGR pictures, and training feeds RGB"):
        transfer.source(config)
