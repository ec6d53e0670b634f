"""Test sets of other labels than the model's: which classes it chooses among, and which answers are right."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import results
from benchmarks import tasks
from benchmarks.config import stored
from benchmarks.config.setup import set_up
from benchmarks.errors import ConfigError
from benchmarks.evaluate import subsets
from benchmarks.evaluate.run import evaluate_run
from benchmarks.evaluate.subsets import Choice, ChoosingAmong
from benchmarks.machine.mesh import create_mesh, replicated
from benchmarks.steps.abstract import abstract_model, shapes
from benchmarks.weights.stored import load_weights
from input_pipeline import DataError, datasets, loader
from results.records import evaluations

NAMES = tuple("abcdef")
LOGITS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def dataset_of(labels, names=NAMES, multi_label=False) -> datasets.Dataset:
    class Source(list):
        def describe(self, index):
            return f"example {index}"

    source = Source({"image": b"", "label": label} for label in labels)
    return datasets.Dataset(
        "made", "1.0.0", names, {"test": len(labels)}, lambda split: source, multi_label
    )


def answers(task, logits, labels):
    # Compiled in one piece, which takes a tenth of the time of its operations one by one.
    return jax.device_get(jax.jit(task.predict)(jnp.asarray(logits), jnp.asarray(labels)))


def predicted(choice, labels, multi_label=False):
    task = ChoosingAmong("single_label", "top1", choice, multi_label)
    predictions = answers(task, LOGITS, labels)
    return predictions, task.metrics(predictions, None)


def softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_a_model_chooses_among_the_classes_that_occur():
    choice = subsets.choose(dataset_of([4, 1, 4]), "test", 6, subsets.PRESENT)
    assert choice == Choice((1, 4), (-1, 0, -1, -1, 1, -1))
    hot = np.eye(6, dtype=np.float32)[[4, 1]] + np.eye(6, dtype=np.float32)[[5, 1]]
    choice = subsets.choose(dataset_of(hot, multi_label=True), "test", 6, subsets.PRESENT)
    assert choice.classes == (1, 4, 5)


def test_as_many_classes_of_other_names_are_the_models_in_order():
    def not_here():
        raise DataError("the run's own dataset is not prepared")

    for class_names in (None, lambda: tuple("uvwxyz"), not_here):
        choice = subsets.choose(dataset_of([0]), "test", 6, class_names=class_names)
        assert choice == Choice(tuple(range(6)), tuple(range(6)))
    with pytest.raises(DataError, match="not prepared"):
        subsets.choose(dataset_of([0]), "test", 7, class_names=not_here)


def test_classes_are_matched_by_name_in_whatever_order():
    choice = subsets.choose(dataset_of([0], ("e", "b")), "test", 6, subsets.NAMES, lambda: NAMES)
    assert choice == Choice((1, 4), (1, 0))


def test_a_file_says_which_class_is_which_and_leaves_others_out(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("goat,e\nsheep,e\ncow, b\n")
    names = ("cow", "dog", "goat", "sheep")
    choice = subsets.choose(dataset_of([0], names), "test", 6, str(path), lambda: NAMES)
    assert choice == Choice((1, 4), (0, -1, 1, 1))


def test_figures_of_a_subset_are_those_of_its_logits_alone():
    labels = np.arange(40) % 3
    predictions, figures = predicted(Choice((1, 3, 4), (2, 0, 1)), labels)
    chosen = LOGITS[:, [1, 3, 4]]
    right = np.array([2, 0, 1])[labels]
    assert figures["top1"] == np.mean(chosen.argmax(-1) == right)
    nll = -np.log(softmax(chosen)[np.arange(40), right])
    assert figures["loss"] == pytest.approx(nll.mean(), rel=1e-5)
    assert predictions["confidence"] == pytest.approx(softmax(chosen).max(-1), rel=1e-5)
    assert predictions["predicted"].tolist() == np.array([1, 3, 4])[chosen.argmax(-1)].tolist()
    assert (figures["examples"], figures["top5"]) == (40, 1.0)


def test_all_classes_in_their_order_give_the_figures_of_the_plain_task():
    labels = np.arange(40) % 6
    plain = tasks.SINGLE_LABEL
    expected = plain.metrics(answers(plain, LOGITS, labels), None)
    _, figures = predicted(Choice(tuple(range(6)), tuple(range(6))), labels)
    assert figures == pytest.approx(expected, rel=1e-6)


def test_any_label_of_a_picture_is_right_and_pictures_without_one_do_not_count():
    labels = (np.random.default_rng(1).random((40, 6)) < 0.3).astype(np.float32)
    labels[:3] = 0
    predictions, figures = predicted(
        Choice(tuple(range(6)), tuple(range(6))), labels, multi_label=True
    )
    counted = labels.any(-1)
    assert 3 <= np.sum(~counted) < 40
    assert predictions["counted"].tolist() == counted.tolist()
    right = labels[np.arange(40), LOGITS.argmax(-1)] > 0
    assert figures["top1"] == pytest.approx(right[counted].mean())
    nll = -np.log((softmax(LOGITS) * labels).sum(-1)[counted])
    assert figures["loss"] == pytest.approx(nll.mean(), rel=1e-5)
    assert figures["examples"] == counted.sum()


def test_a_label_that_cannot_be_chosen_does_not_count():
    predictions, figures = predicted(Choice((1, 4), (-1, 0, -1, -1, 1, -1)), np.arange(40) % 6)
    assert predictions["counted"].sum() == figures["examples"] == 13
    with pytest.raises(ConfigError, match="no picture of the split has a label"):
        predicted(Choice((1, 4), (-1, 0, -1, -1, 1, -1)), np.zeros(40, int))


def test_logits_that_are_not_finite_are_never_right():
    task = ChoosingAmong("single_label", "top1", Choice((1, 4), (0, 1)))
    predictions = answers(task, np.full((2, 6), np.nan, np.float32), [0, 1])
    assert task.metrics(predictions, None)["top1"] == 0


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r:0.2.0", "imagenet_a/config"])
def test_imagenets_of_two_hundred_classes_are_evaluated_on_those(name):
    assert subsets.usual(name) == subsets.PRESENT
    assert subsets.usual("imagenet_v2") == subsets.usual("imagenet_sketch") == ""


@pytest.mark.parametrize(
    ("subset", "text", "message"),
    [
        (
            "",
            None,
            "tells 6 classes apart and made has 2, of which it does not know 'goat': --subset=FILE",
        ),
        ("present", None, "tells 6 classes apart and made has 2"),
        ("names", None, "the model has no class 'goat'"),
        ("absent.csv", None, "'absent.csv' cannot be read"),
        ("FILE", "goat,e,f\n", "line 1: it is 'class of the dataset,class of the model'"),
        ("FILE", "dog,e\n", "made has no class 'dog'"),
        ("FILE", "goat,z\n", "the model has no class 'z'"),
        ("FILE", "", "names no class"),
    ],
)
def test_labels_that_cannot_be_the_models_are_refused(tmp_path, subset, text, message):
    if text is not None:
        subset = str(tmp_path / "classes.csv")
        (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        subsets.choose(dataset_of([0], ("goat", "b")), "test", 6, subset, lambda: NAMES)


def test_names_need_a_run():
    with pytest.raises(ConfigError, match="give --workdir"):
        subsets.choose(dataset_of([0]), "test", 6, subsets.NAMES)


@pytest.fixture(scope="module")
def own_run(short_run, tmp_path_factory):
    """(folder, record) of a short run of `tiny` on digits, beside which evaluations may be written."""
    folder = tmp_path_factory.mktemp("own") / "run"
    shutil.copytree(short_run[0], folder)
    return folder, short_run[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data_dir):
    """A folder of the test split's threes and sevens."""
    root = tmp_path_factory.mktemp("pictures")
    source = datasets.load("digits", data_dir).source("test")
    for index in range(len(source)):
        example = source[index]
        if example["label"] in (3, 7):
            path = root / "test" / str(example["label"]) / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(example["image"])
    return root


def logits_of(run_folder, dataset, split):
    """Returns a run's logits and the labels, by the model itself."""
    config = stored.load(run_folder / "record.json")
    mesh = create_mesh()
    model, params, batch_stats = abstract_model(set_up(config, 10))
    params, batch_stats = load_weights(run_folder, *shapes((params, batch_stats), replicated(mesh)))
    (batch,) = loader.eval_batches(
        dataset, split, image_size=32, batch_size=dataset.num_examples(split)
    )
    return np.asarray(model.logits(params, batch_stats, batch["image"])), batch["label"]


def test_a_run_is_evaluated_on_a_folder_of_two_of_its_classes(own_run, folder):
    run_folder, record = own_run
    evaluation = evaluate_run(
        run_folder, "test", dataset=f"folder:{folder}", subset="names", name="threes and sevens"
    )
    logits, labels = logits_of(run_folder, datasets.load(f"folder:{folder}"), "test")
    right = logits[:, [3, 7]].argmax(-1) == labels
    assert evaluation.metrics["top1"] == pytest.approx(right.mean())
    assert (evaluation.num_classes, evaluation.metrics["examples"]) == (2, len(labels))
    (kept,), problems = evaluations.load_all([run_folder], [record])
    assert problems == []
    assert (kept.metrics["top1"], kept.num_classes) == (evaluation.metrics["top1"], 2)
    assert f"--dataset=folder:{folder} --split=test --subset=names" in kept.command


def test_a_run_of_one_label_is_evaluated_on_pictures_of_several(own_run, data_dir):
    run_folder, _ = own_run
    evaluation = evaluate_run(run_folder, "test", dataset="digits_multilabel")
    logits, labels = logits_of(run_folder, datasets.load("digits_multilabel", data_dir), "test")
    right = labels[np.arange(len(labels)), logits.argmax(-1)] > 0
    assert evaluation.metrics["top1"] == pytest.approx(right.mean())
    assert (evaluation.num_classes, evaluation.left_out) == (10, 0)


def test_a_name_that_is_no_files_is_refused_before_the_work(own_run):
    with pytest.raises(results.RecordError, match="must name a file"):
        evaluate_run(own_run[0], name="../x")


def test_subsets_are_for_one_label(own_run):
    config = stored.load(own_run[0] / "record.json")
    model, _, _ = abstract_model(set_up(config, 10))
    several = dataclasses.replace(model, task=tasks.TASKS["multi_label"])
    with pytest.raises(
        ConfigError, match="goes with single_label, and the run's task is multi_label"
    ):
        subsets.choose_for(several, dataset_of([0]), "test", "present")
