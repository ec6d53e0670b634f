"""Classes of a dataset are found among a model's by name, with every logit kept and the background not counted."""

import numpy as np
import pytest
from flax import nnx
from PIL import Image

import models
from benchmarks.evaluate import evaluate_weights, labels
from benchmarks.inference import trained_model
from input_pipeline import pictures
from models import imagenet_classes, pretrained

SYNSETS, WORDS = imagenet_classes.SYNSETS, imagenet_classes.WORDS
BACKGROUND = imagenet_classes.LISTS["imagenet_background"]


def test_names_are_found_in_whatever_order():
    assert labels.places(["b", "z"], ["a", "b"]) == [1, None]


@pytest.mark.parametrize("names", [WORDS, SYNSETS])
def test_imagenets_classes_are_found_by_synset_and_by_words(names):
    assert labels.places([SYNSETS[7], SYNSETS[3]], names) == [7, 3]
    assert labels.places([WORDS[7], "great_white_shark"], names) == [7, 2]


def test_a_background_moves_every_class_by_one():
    assert labels.places([SYNSETS[7], SYNSETS[999]], BACKGROUND) == [8, 1000]


def test_some_of_imagenets_classes_are_found_among_some():
    # As by a run on a hundred of them.
    assert labels.places([WORDS[5], WORDS[9], WORDS[6]], [SYNSETS[9], SYNSETS[5]]) == [1, 0, None]


def test_numbers_are_imagenets_only_where_nothing_else_can_be_meant():
    assert labels.places(["7", "010"], WORDS, by_number=True) == [7, 10]
    assert labels.places(["7", "10"], WORDS) == [None, None]
    assert labels.places(["7", "10"], BACKGROUND, by_number=True) == [None, None]
    assert labels.places(["1", "0"], ["0", "1"], by_number=True) == [1, 0]


SHOWN = (
    700,
    3,
    41,
)  # numbers of classes whose synsets are not in the order of the folder's reading


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a validation split alone: four pictures of each class, by synset."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in SHOWN:
        folder = root / "validation" / SYNSETS[number]
        folder.mkdir(parents=True)
        for index in range(4):
            noise = generator.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(noise).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """Weights of `tiny` of 1,000 classes, drawn at random."""
    path = tmp_path_factory.mktemp("thousand") / "weights.safetensors"
    pretrained.save(models.create("tiny", 1000, rngs=nnx.Rngs(params=0)), path)
    return path


@pytest.fixture(scope="module")
def thousand_and_one(thousand, tmp_path_factory):
    """The same weights with a background class before them, of which no picture is."""
    path = tmp_path_factory.mktemp("background") / "weights.safetensors"
    model = models.create("tiny", 1001)
    tensors, _ = pretrained.read(thousand)
    for name, first in (("fc.weight", 0), ("fc.bias", -50)):
        rest = tensors[name]
        tensors[name] = np.concatenate([np.full_like(rest[:1], first), rest])
    pretrained.assign(model, tensors)
    pretrained.save(model, path)
    return path


def measured(model_weights, root, **changes):
    return evaluate_weights("tiny", model_weights, f"folder:{root}", crop_fraction=1.0, **changes)


def expected_top5(weights, root):
    """Returns the share of pictures whose class is among the five highest of all 1,000 logits."""
    trained = trained_model.from_weights("tiny", weights, crop_fraction=1.0)
    hits = []
    for number in SHOWN:
        paths = sorted((root / "validation" / SYNSETS[number]).iterdir())
        seen = np.stack([pictures.read(path) for path in paths])
        order = np.argsort(-np.asarray(trained.logits(seen)), axis=1)
        hits += [number in row[:5] for row in order]
    return np.mean(hits)


def test_a_folder_of_some_synsets_is_evaluated_with_every_logit(thousand, root):
    evaluation = measured(thousand, root)
    assert (evaluation.num_classes, evaluation.dataset_classes) == (1000, 3)
    assert evaluation.metrics["examples"] == 12
    assert evaluation.metrics["top5"] == expected_top5(thousand, root)
    # Of a thousand classes, chance is right once in two hundred times; of three, always.
    assert evaluation.metrics["top5"] < 0.5
    narrowed = measured(thousand, root, subset="names")
    assert (narrowed.num_classes, narrowed.metrics["top5"]) == (3, 1.0)


def test_a_background_class_changes_nothing(thousand, thousand_and_one, root):
    ours, theirs = measured(thousand, root), measured(thousand_and_one, root)
    assert (theirs.num_classes, theirs.dataset_classes) == (1001, 3)
    assert theirs.needs["classes"] == "imagenet_background"
    for name in ("top1", "top5", "loss"):
        assert theirs.metrics[name] == pytest.approx(ours.metrics[name], rel=1e-5)
    for subset in ("names", "present"):
        narrowed = measured(thousand_and_one, root, subset=subset)
        assert (narrowed.num_classes, narrowed.metrics["top5"]) == (3, 1.0)


def test_folders_may_be_called_by_words_or_numbers(thousand, root, tmp_path):
    expected = measured(thousand, root).metrics
    for names in ([WORDS[number].replace(" ", "_") for number in SHOWN], map(str, SHOWN)):
        other = tmp_path / "x"
        (other / "validation").mkdir(parents=True)
        for number, name in zip(SHOWN, names, strict=True):
            (other / "validation" / name).symlink_to(root / "validation" / SYNSETS[number])
        assert measured(thousand, other).metrics == pytest.approx(expected)
        other.rename(tmp_path / f"done {name}")


def test_as_many_classes_in_another_order_are_not_taken_for_the_models(tmp_path):
    weights, names = tmp_path / "weights.safetensors", ("eel", "ant")
    pretrained.save(models.create("tiny", 2, rngs=nnx.Rngs(params=1)), weights)
    folder = tmp_path / "validation"
    noise = np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), np.uint8)
    trained = trained_model.from_weights("tiny", weights, crop_fraction=1.0)
    decided = np.argmax(np.asarray(trained.logits(noise)), 1)
    assert {*decided} == {0, 1}
    for index, label in enumerate(decided):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise[index]).save(folder / names[label] / f"{index}.png")
    # The folder's classes are numbered in the order of the alphabet, the model's as they are listed.
    assert measured(weights, tmp_path, classes=names).metrics["top1"] == 1
    assert measured(weights, tmp_path, classes=names[::-1]).metrics["top1"] == 0


def test_the_command_says_among_what_the_model_chose(command_here, thousand, root):
    arguments = ("--model=tiny", f"--weights={thousand}", f"--dataset=folder:{root}")
    ended = command_here("benchmarks.evaluate", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert "of 3 of the model's 1,000 classes, and it chose among all 1,000" in ended.stdout
    ended = command_here("benchmarks.evaluate", *arguments, "--subset=names")
    assert "the choice was narrowed to 3 of the model's 1,000 classes" in ended.stdout


def test_weights_of_other_programs_are_imported_first(tmp_path):
    """What they need would be lost otherwise, such as blue before red."""
    for name in ("vgg16.h5", "model.tflite", "model.json"):
        with pytest.raises(
            models.ModelError, match=r"import it first by python -m models\.pretrained"
        ):
            trained_model.from_weights("vgg16", tmp_path / name)
