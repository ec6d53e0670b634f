"""Recognizing gives what evaluation gave, for pictures from anywhere, and goes on past what is no picture."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import calibrate, tasks
from benchmarks.config.fields import default_config
from benchmarks.errors import ConfigError
from benchmarks.inference import trained_model
from benchmarks.recognize import Recognizer
from benchmarks.recognize.output import rows, writer_of
from input_pipeline import DataError, datasets, pictures
from results import records


@pytest.fixture(scope="module")
def recognizer(short_run):
    return Recognizer.from_run(short_run[0])


@pytest.fixture(scope="module")
def encoded(data_dir):
    """The bytes of the test split's pictures, in order."""
    source = datasets.load("digits", data_dir).source("test")
    return [source[index]["image"] for index in range(len(source))]


@pytest.fixture
def folder(encoded, tmp_path):
    """A folder with two digits, one of them deeper, and a file that is no picture."""
    (tmp_path / "deeper").mkdir()
    (tmp_path / "a.png").write_bytes(encoded[0])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("not looked at")
    (tmp_path / "deeper" / "b.png").write_bytes(encoded[1])
    return tmp_path


def test_the_test_split_is_recognized_as_it_was_evaluated(recognizer, short_run, encoded):
    kept = np.load(short_run[0] / "predictions" / "test.npz")
    prediction = recognizer.recognize([Image.open(io.BytesIO(data)) for data in encoded])
    names = recognizer.trained.class_names
    assert prediction.decisions == tuple((names[label],) for label in kept["predicted"])
    np.testing.assert_allclose(prediction.confidences.max(1), kept["confidence"], rtol=1e-5)
    np.testing.assert_allclose(prediction.confidences.sum(1), 1, rtol=1e-5)


def test_a_file_an_image_and_an_array_of_one_picture_are_the_same(recognizer, encoded, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(encoded[3])
    image = Image.open(path)
    prediction = recognizer.recognize([path, str(path), image, np.asarray(image)])
    assert (prediction.confidences == prediction.confidences[0]).all()


def test_a_picture_is_the_same_alone_and_among_others(recognizer, encoded):
    arrays = [pictures.read(Image.open(io.BytesIO(data))) for data in encoded[:70]]
    together = recognizer.recognize(arrays)
    alone = recognizer.recognize(arrays[:1])
    np.testing.assert_allclose(alone.confidences, together.confidences[:1], rtol=1e-5)
    assert len(together.decisions) == 70


def test_no_pictures_are_no_predictions(recognizer):
    prediction = recognizer.recognize([])
    assert prediction.confidences.shape == (0, 10)
    assert prediction.decisions == ()


def test_what_is_no_picture_is_told_and_the_rest_go_on(recognizer, folder):
    paths = [folder / "a.png", folder / "broken.png", folder / "nowhere.png", np.zeros((2, 2, 4))]
    prediction = recognizer.recognize([*paths, folder / "deeper" / "b.png"])
    assert [error is None for error in prediction.errors] == [True, False, False, False, True]
    assert "broken.png is not a picture" in prediction.errors[1]
    assert "nowhere.png cannot be read (No such file" in prediction.errors[2]
    assert "not float64 [2, 2, 4]" in prediction.errors[3]
    assert prediction.decisions[1] is None
    assert np.isnan(prediction.confidences[1]).all()
    assert np.isfinite(prediction.confidences[[0, 4]]).all()


def test_a_folder_stands_for_the_pictures_below_it(folder):
    names = [path.relative_to(folder).as_posix() for path in pictures.find([folder])]
    assert names == ["a.png", "broken.png", "deeper/b.png"]
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        pictures.find([folder / "empty"])


def test_a_threshold_leaves_unsure_pictures_undecided(short_run, encoded):
    image = Image.open(io.BytesIO(encoded[0]))
    sure = Recognizer.from_run(short_run[0]).recognize([image])
    best = float(sure.confidences.max())
    for threshold, decided in ((best - 1e-3, sure.decisions[0]), (best + 1e-3, ())):
        prediction = Recognizer.from_run(short_run[0], threshold).recognize([image])
        assert prediction.decisions[0] == decided
    with pytest.raises(ConfigError, match="from 0 to 1"):
        Recognizer.from_run(short_run[0], 1.5)


@pytest.mark.parametrize(
    ("task", "above", "decided"),
    [
        (tasks.SINGLE_LABEL, None, ("cat",)),
        (tasks.SINGLE_LABEL, [False, False, False], ()),
        (tasks.BINARY, [True], ("cat",)),
        (tasks.BINARY, [False], ("dog",)),
        (tasks.MULTI_LABEL, [True, False, True], ("dog", "eel")),
    ],
)
def test_each_task_decides_in_its_way(task, above, decided):
    confidence = np.array([0.3, 0.6, 0.1])
    names = ("dog", "cat", "eel")
    assert task.decide(confidence, above and np.array(above), names) == decided


def test_a_known_temperature_is_recovered():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(4000, 5)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([generator.choice(5, p=share / share.sum()) for share in shares], np.int32)
    temperature = calibrate.fit_temperature(tasks.SINGLE_LABEL, 3 * logits, labels)
    assert temperature == pytest.approx(3, rel=0.1)


def test_a_calibrated_run_says_so_and_keeps_its_decisions(copied_run, encoded):
    before = Recognizer.from_run(copied_run)
    done = calibrate.calibrate(copied_run)
    assert done.loss_after < done.loss_before
    assert records.read(copied_run / "record.json").decision.temperature == done.temperature
    after = Recognizer.from_run(copied_run)
    images = [Image.open(io.BytesIO(data)) for data in encoded[:64]]
    raw, cooled = before.recognize(images), after.recognize(images)
    assert (raw.calibrated, cooled.calibrated) == (False, True)
    assert raw.decisions == cooled.decisions
    logits = np.log(raw.confidences) / done.temperature
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(cooled.confidences, expected, rtol=1e-3, atol=1e-6)


def test_a_run_without_its_class_names_asks_its_dataset(copied_run):
    names = trained_model.from_run(copied_run).class_names
    (copied_run / "class_names.json").unlink()
    assert trained_model.from_run(copied_run).class_names == names == tuple("0123456789")


def test_files_of_a_thousand_classes_have_imagenet_names(short_run):
    trained = trained_model.from_run(short_run[0])
    model = dataclasses.replace(trained.model, num_logits=1000)
    config = default_config()
    names = trained_model.TrainedModel(config, model, {}, {}, "weights.pth").class_names
    assert (names[0], names[207], names[999]) == ("tench", "golden retriever", "toilet tissue")
    assert len(set(names)) == 1000


def test_the_command_prints_a_line_a_picture(command_here, short_run, folder):
    workdir = f"--workdir={short_run[0]}"
    ended = command_here("benchmarks.recognize", workdir, "--format=jsonl", "--top=2", str(folder))
    assert ended.returncode == 1, ended.stderr
    first, broken, last = map(json.loads, ended.stdout.splitlines())
    assert first["picture"].endswith("a.png")
    assert len(first["confidences"]) == 2
    assert first["decision"] == [max(first["confidences"], key=first["confidences"].get)]
    assert "is not a picture" in broken["error"]
    assert "is not a picture" in ended.stderr
    assert last["picture"].endswith("b.png")


def test_every_row_of_the_csv_has_the_columns_of_its_head(recognizer, folder, capsys):
    paths = pictures.find([folder])
    writer = writer_of("csv", recognizer, 3)
    for row in rows(map(str, paths), recognizer.stream(paths), 3):
        writer.write(row)
    head, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head[:5] == ["picture", "decision", "error", "label1", "confidence1"]
    assert [len(row) for row in lines] == [9, 9, 9]
    assert float(lines[0][4]) >= float(lines[0][6]) >= float(lines[0][8])


@pytest.mark.parametrize("name", ["=1+1", "+cat", "-cat", "@cat", 'a "cat", or\r two\n'])
def test_names_come_back_from_the_csv_as_they_are(recognizer, capsys, name):
    writer = writer_of("csv", recognizer, 1)
    writer.write({"picture": name, "decision": [name], "confidences": {name: 0.5}})
    _, row = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    assert row == [name, name, "", name, "0.500000"]


def test_the_table_shows_names_as_they_are(recognizer, capsys):
    writer = writer_of("table", recognizer, 1)
    shown = {"picture": "dog[/x].png", "decision": ["cat[tabby]"], "confidences": {"cat[red]": 0.5}}
    writer.write(shown)
    writer.write({"picture": "a\nb[bold].png", "error": "photo[1].png is not a picture"})
    writer.close()
    printed = capsys.readouterr().out
    for text in ("dog[/x].png", "cat[tabby]", "cat[red] 50.0%", "a b[bold].png", "photo[1].png is"):
        assert text in printed
