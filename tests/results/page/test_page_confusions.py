"""What the page holds of a run's confusions: as much as fits, and nothing of what is damaged."""

import base64
import dataclasses
import json

import cv2
import numpy as np
import pytest

from results import records
from results.page import confusions, contents
from results.rankings.rows import summarize
from results.records import files

# The page's script finds them by these names.
SHOWN = {
    "split",
    "examples",
    "right",
    "classes",
    "all_classes",
    "matrix",
    "pairs",
    "calibration_error",
    "reliability",
    "mistakes",
    "all_mistakes",
}


@pytest.fixture
def kept(run, tmp_path):
    """Returns a function that writes a run of model and seed that kept its predictions, and returns its record."""

    def kept(model, seed, classes=10):
        record = run(model, seed, 0.75)
        shape = dataclasses.replace(record.model, num_classes=classes)
        record = dataclasses.replace(record, model=shape)
        folder = tmp_path / "runs" / record.run_id
        records.write(record, folder / "record.json")
        label = np.arange(40) % classes
        arrays = {"label": label, "predicted": np.where(np.arange(40) % 4, label, 3)}
        arrays |= {"confidence": np.linspace(0.5, 1, 40), "index": np.arange(40)}
        files.write_arrays(folder / "predictions" / "test.npz", arrays)
        return record

    return kept


def embedded(tmp_path):
    everything, folders, _ = records.load_with_folders([tmp_path])
    return confusions.embed(summarize(everything), folders)


def test_a_run_s_confusions_are_on_the_page_and_one_without_predictions_has_none(
    kept, run, tmp_path
):
    kept("a", 0)
    records.write(run("b", 0, 0.5), tmp_path / "runs" / "b-0" / "record.json")
    everything, folders, _ = records.load_with_folders([tmp_path])
    held = contents.collect(summarize(everything), contents.Place(tmp_path, folders))
    a, b = json.loads(json.dumps(held, allow_nan=False))["runs"]
    assert a["confusions"].keys() == SHOWN
    assert a["confusions"]["matrix"]["counts"][0] == [2, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    assert a["confusions"]["classes"][0]["recall"] == 0.5
    assert "confusions" not in b


def test_the_first_seed_of_each_row_is_shown_before_any_second(kept, tmp_path, monkeypatch):
    for model in "ab":
        for seed in range(2):
            kept(model, seed)
    one = len(json.dumps(embedded(tmp_path)["a-0"], separators=(",", ":")))
    monkeypatch.setattr(confusions, "_BYTES", 2 * one + one // 2)
    shown = embedded(tmp_path)
    assert {name for name, each in shown.items() if each == {"left_out": True}} == {"a-1", "b-1"}
    assert len(json.dumps(list(shown.values()))) < 3 * one


def test_no_more_is_read_than_loads_in_time(kept, tmp_path, monkeypatch):
    for model in "abc":
        kept(model, 0)
    size = (tmp_path / "runs" / "a-0" / "predictions" / "test.npz").stat().st_size
    monkeypatch.setattr(confusions, "_BYTES_READ", size)
    assert [each.get("left_out") for each in embedded(tmp_path).values()] == [None, True, True]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY"])
def test_damaged_predictions_are_said_to_be_and_spoil_no_other_run(kept, tmp_path, content):
    kept("a", 0)
    kept("b", 0)
    (tmp_path / "runs" / "a-0" / "predictions" / "test.npz").write_bytes(content)
    shown = embedded(tmp_path)
    assert shown["a-0"]["problem"].startswith("predictions/test.npz cannot be read")
    assert shown["b-0"].keys() == SHOWN


def test_of_many_classes_the_hardest_are_shown(kept, tmp_path):
    kept("a", 0, classes=40)
    shown = embedded(tmp_path)["a-0"]
    assert shown["matrix"] is None
    assert (shown["all_classes"], len(shown["classes"])) == (40, 30)
    recalls = [each["recall"] for each in shown["classes"]]
    assert recalls == sorted(recalls)
    assert recalls[0] == 0


@pytest.fixture
def sheet(kept, tmp_path):
    """The folder of a run with a sheet of three 8-pixel tiles in two columns."""
    kept("a", 0)
    beside = tmp_path / "runs" / "a-0" / "predictions"
    facts = {"split": "test", "side": 8, "columns": 2, "pictures": [36, 32, 28]}
    (beside / "mistakes.json").write_text(json.dumps(facts))
    png = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    (beside / "mistakes.png").write_bytes(png)
    return beside


def test_a_mistake_points_to_its_tile_of_the_sheet(sheet, tmp_path):
    shown = embedded(tmp_path)["a-0"]
    assert shown["sheet"].keys() == {"png", "side", "columns", "rows"}
    address = shown["sheet"]["png"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(address) == (sheet / "mistakes.png").read_bytes()
    tiles = {each["index"]: each["tile"] for each in shown["mistakes"]}
    assert tiles[36] == 0
    assert tiles[28] == 2
    assert tiles[24] is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mistakes.png", b"no PNG"),
        ("mistakes.png", cv2.imencode(".png", np.zeros((16, 24, 3), np.uint8))[1].tobytes()),
        ("mistakes.json", b'{"split": "test", "side": 8'),
        ("mistakes.json", b"[]"),
        ("mistakes.json", b'{"split": "test", "side": 0, "columns": 0, "pictures": [1]}'),
        ("mistakes.json", b'{"split": "validation", "side": 8, "columns": 2, "pictures": [36, 3]}'),
    ],
)
def test_a_sheet_that_does_not_fit_is_left_out(sheet, tmp_path, name, content):
    (sheet / name).write_bytes(content)
    assert embedded(tmp_path)["a-0"].keys() == SHOWN
