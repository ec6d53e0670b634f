"""Confusions of hand-made predictions, against scikit-learn, and the command that tells them."""

import contextlib
import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from results import RecordError, confusions, records
from results.confusions import report
from results.records import files, layout, predictions
from results.records.schema import Dataset, Decision

NAMES = ("cat", "dog", "eel")


def of_task(record, task, labels, thresholds=None):
    """The record as one of another task, with so many logits."""
    data = Dataset("pets", "1.0.0", task, "train", "validation", "test")
    model = dataclasses.replace(record.model, num_classes=labels)
    return dataclasses.replace(
        record, dataset=data, model=model, decision=thresholds and Decision(thresholds)
    )


@pytest.fixture(name="single", scope="module")
def single_(make_record):
    return of_task(make_record("single"), "single_label", 3)


def single_arrays(label, predicted, confidence=None):
    label = np.array(label, np.int32)
    sure = np.full(len(label), 0.5) if confidence is None else confidence
    arrays = {"label": label, "predicted": np.array(predicted, np.int32)}
    return arrays | {"confidence": np.array(sure, np.float32), "index": np.arange(len(label)) + 10}


def told(arrays, record, names=NAMES):
    return confusions.of(predictions.of_arrays(arrays, record, names, "test"))


def columns(confusions, *names):
    return [
        [
            np.nan if getattr(each, name) is None else getattr(each, name)
            for each in confusions.classes
        ]
        for name in names
    ]


CLASSES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(pairs=CLASSES)
def test_counts_of_classes_are_scikit_learns(single, pairs):
    label, predicted = zip(*pairs, strict=True)
    counted = told(single_arrays(label, predicted), single)
    expected = sk.confusion_matrix(label, predicted, labels=range(3))
    np.testing.assert_array_equal(counted.matrix.counts, expected)
    expected = sk.precision_recall_fscore_support(
        label, predicted, labels=range(3), zero_division=np.nan
    )
    shown = columns(counted, "precision", "recall", "f1", "examples")
    # scikit-learn's F1 of a class that never occurs is NaN too, as here.
    np.testing.assert_allclose(shown, expected)
    assert counted.right / counted.examples == pytest.approx(sk.accuracy_score(label, predicted))


SURE = st.sampled_from([-2.0, -0.5, 0.0, 0.5, 2.0])  # few, so that there are ties
THRESHOLDS = {"cat": 0.5, "dog": 0.3, "eel": 0.9}


@settings(max_examples=25, deadline=None)
@given(
    examples=st.lists(
        st.tuples(st.tuples(SURE, SURE, SURE), st.tuples(*[st.booleans()] * 3)), min_size=1
    )
)
def test_counts_of_labels_are_scikit_learns(many, examples):
    logits = np.array([each for each, _ in examples], np.float32)
    targets = np.array([each for _, each in examples], np.float32)
    counted = told({"logits": logits, "targets": targets}, many)
    confidence = 1 / (1 + np.exp(-logits.astype(float)))
    decided = confidence >= np.array([*THRESHOLDS.values()])
    counts = columns(
        counted, "true_negatives", "false_positives", "false_negatives", "true_positives"
    )
    expected = sk.multilabel_confusion_matrix(targets, decided).reshape(3, 4)
    np.testing.assert_array_equal(np.transpose(counts), expected)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        targets, decided, zero_division=np.nan
    )
    np.testing.assert_allclose(
        columns(counted, "precision", "recall", "f1"), [precision, recall, f1]
    )
    for each, positive, sure in zip(counted.classes, targets.T, confidence.T, strict=True):
        if positive.any():
            expected = sk.average_precision_score(positive, sure)
            assert each.average_precision == pytest.approx(expected)
        else:
            assert each.average_precision is None
    assert counted.right == sk.accuracy_score(targets, decided, normalize=False)
    assert counted.all_mistakes == np.sum(decided != targets)
    assert sum(each.examples for each in counted.reliability) == targets.size


@pytest.fixture(name="many", scope="module")
def many_(make_record):
    return of_task(make_record("many"), "multi_label", 3, THRESHOLDS)


def test_the_most_confident_mistakes_come_first_and_those_without_a_number_last(single):
    label, predicted = [0, 0, 1, 2, 2, 1], [1, 0, 2, 0, 1, 0]
    confidence = [0.6, 0.99, 0.9, np.nan, 0.7, 0.9]
    counted = told(single_arrays(label, predicted, confidence), single)
    assert [each.index for each in counted.mistakes] == [12, 15, 14, 10, 13]
    first, *_, last = counted.mistakes
    assert (first.label, first.predicted) == ("dog", "eel")
    assert first.confidence == pytest.approx(0.9)
    assert last.confidence is None
    assert counted.calibration_error is None
    assert counted.pairs[0] == confusions.Pair("cat", "dog", 1)


def test_the_most_frequent_confusions_come_first_and_right_answers_are_none(single):
    counted = told(single_arrays([0, 1, 1, 1, 2, 2], [0, 2, 2, 0, 2, 1]), single)
    assert [(each.label, each.predicted, each.examples) for each in counted.pairs] == [
        ("dog", "eel", 2),
        ("dog", "cat", 1),
        ("eel", "dog", 1),
    ]


def test_a_label_is_missed_or_said_wrongly_as_surely_as_its_decision(many):
    logits = np.log([[0.95, 0.2, 0.1], [0.4, 0.35, 0.8]]) - np.log(
        [[0.05, 0.8, 0.9], [0.6, 0.65, 0.2]]
    )
    targets = np.array([[0, 1, 0], [0, 0, 0]])
    counted = told({"logits": logits, "targets": targets}, many)
    assert [(each.index, each.label, each.predicted) for each in counted.mistakes] == [
        (0, "not cat", "cat"),
        (0, "dog", "not dog"),
        (1, "not dog", "dog"),  # 0.35 is above its threshold
    ]
    sure = [each.confidence for each in counted.mistakes]
    assert sure == pytest.approx([0.95, 0.8, 0.35])
    assert (counted.examples, counted.right, counted.matrix) == (2, 0, None)


def test_a_binary_run_has_a_matrix_of_its_two_classes(make_record):
    record = of_task(make_record("binary"), "binary", 1, {"dog": 0.5})
    arrays = {
        "logits": np.array([[1.0], [-1], [2], [-2]]),
        "targets": np.array([[1], [1], [0], [0]]),
    }
    counted = told(arrays, record, ("no dog", "dog"))
    assert counted.matrix == confusions.Matrix(("no dog", "dog"), ((1, 1), (1, 1)))
    assert counted.classes[0].name == "dog"
    assert {(each.label, each.predicted) for each in counted.mistakes} == {
        ("no dog", "dog"),
        ("dog", "no dog"),
    }
    nameless = told(arrays, record, ())
    assert nameless.matrix.names == ("not dog", "dog")


def test_of_many_classes_there_is_no_matrix_but_the_pairs(make_record):
    record = of_task(make_record("wide"), "single_label", 1000)
    label = np.arange(1000)
    counted = told(single_arrays(label, np.roll(label, 1)), record, ())
    assert counted.matrix is None
    assert len(counted.classes) == 1000
    assert len(counted.pairs) == 20
    assert len(counted.mistakes) == confusions.MOST_MISTAKES
    assert counted.mistakes[0].label == "class 0"


@pytest.fixture
def run_folder(single, tmp_path):
    """A finished run that kept its predictions."""
    records.write(single, tmp_path / "record.json")
    (tmp_path / "class_names.json").write_text(json.dumps(["cat", "[red]dog", "eel"]))
    arrays = single_arrays([0, 1, 2, 1], [0, 2, 2, 1])
    files.write_arrays(tmp_path / "predictions" / "test.npz", arrays)
    return tmp_path


def test_the_command_prints_the_tables_and_writes_all_of_it(run_folder, command_here):
    out = run_folder / "confusions.json"
    ended = command_here("results.confusions", run_folder, f"--out={out}")
    assert (ended.returncode, ended.stderr) == (0, "")
    for text in ("3 of 4 examples right (75.00 %)", "[red]dog", "Confusion matrix", "Reliability"):
        assert text in ended.stdout
    written = json.loads(out.read_text())
    assert written["matrix"]["counts"] == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert written["mistakes"][0] == {
        "index": 11,
        "label": "[red]dog",
        "predicted": "eel",
        "confidence": 0.5,
    }


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "no predictions/test.npz or predictions/validation.npz"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "damaged or half-written"),
        (lambda path: path.write_bytes(b""), "damaged or half-written"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "no 'label'"),
        (lambda path: np.savez(path, **single_arrays([0, 7], [0, 1])), "beyond the 3"),
        (lambda path: np.savez(path, **single_arrays([0, 1], [0])), "same shape"),
        (lambda path: np.savez(path, label=np.array([{}])), "damaged"),
        (lambda path: (path.parents[1] / "record.json").unlink(), "there is no run in"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_status_2(run_folder, command_here, spoil, sentence):
    spoil(run_folder / "predictions" / "test.npz")
    ended = command_here("results.confusions", run_folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_name_and_count_is_whole_at_every_width(make_record, width):
    names = [f"[bold]class {i}" for i in range(12)]
    record = of_task(make_record("twelve"), "single_label", 12)
    label = np.repeat(np.arange(12), 1_234)
    counted = told(single_arrays(label, np.where(label % 2, label, 0)), record, names)
    console = Console(width=width, file=io.StringIO(), color_system=None)
    report.print_confusions(counted, record, console)
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for name in names:
        assert name.replace(" ", "") in "".join(text.split())
    matrix = text.partition("Confusion matrix")[2].partition("Confused most")[0]
    assert matrix.count("1,234") == 12


def test_out_must_be_json_and_writable(run_folder, command_here):
    ended = command_here("results.confusions", run_folder, "--out=x.csv")
    assert ended.returncode == 2
    assert "'x.csv'" in ended.stderr
    ended = command_here("results.confusions", run_folder, f"--out={run_folder}/record.json/x.json")
    assert ended.returncode == 2
    assert "cannot be written" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "say the folder of one run; there are 0."),
        (["a", "b"], "say the folder of one run; there are 2."),
        (["--split=train", "a"], "flag --split=train: value should be one of <test|validation>"),
        (["--unknown", "a"], "Unknown command line flag 'unknown'"),
    ],
)
def test_wrong_arguments_are_a_mistake(command_here, arguments, sentence):
    ended = command_here("results.confusions", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {sentence}")


def test_names_that_are_damaged_give_way_to_numbers(run_folder, single):
    (run_folder / "class_names.json").write_text('["cat"')
    assert predictions.read(run_folder, single).names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("text", "why"),
    [('["cat"', "not JSON"), ('{"cat": 1}', "not a list"), ("[1, 2]", "not a list")],
)
def test_damaged_names_are_told_and_the_rest_is_shown(run_folder, command_here, text, why):
    (run_folder / "class_names.json").write_text(text)
    ended = command_here("results.confusions", run_folder)
    assert ended.returncode == 0
    assert "class 0" in ended.stdout
    assert "warning: " in ended.stderr
    assert f"class_names.json is damaged: it is {why}" in ended.stderr
    (run_folder / "class_names.json").unlink()
    assert command_here("results.confusions", run_folder).stderr == ""


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_damaged_predictions_are_one_sentence(make_record, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    path = layout.predictions_in(folder, "test")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **single_arrays([0, 1, 2], [0, 2, 2]))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    record = of_task(make_record("damaged"), "single_label", 3)
    with contextlib.suppress(RecordError):
        predictions.read(folder, record)


def test_predictions_of_another_task_are_refused(single, many):
    arrays = single_arrays([0], [0])
    with pytest.raises(RecordError, match="no 'logits'"):
        predictions.of_arrays(arrays, many, NAMES, "test")
