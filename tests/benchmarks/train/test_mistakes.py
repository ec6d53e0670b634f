"""Pictures of a run's most confident mistakes."""

import contextlib
import json
import shutil

import cv2
import numpy as np
import pytest

from benchmarks import tasks
from benchmarks.config.setup import set_up
from benchmarks.inference.predict import split_batches
from benchmarks.train import mistakes


@pytest.fixture
def dataset(config):
    return tasks.load_dataset(config)


def test_a_run_keeps_pictures_of_its_mistakes_as_the_model_saw_them(short_run, config, dataset):
    folder = short_run[0] / "predictions"
    facts = json.loads((folder / "mistakes.json").read_text())
    kept = np.load(folder / "test.npz")
    wrong = np.flatnonzero(kept["label"] != kept["predicted"])
    order = np.argsort(-kept["confidence"][wrong], kind="stable")[:24]
    assert facts["pictures"] == kept["index"][wrong[order]].tolist()
    first = facts["mistakes"][0]
    assert first["label"] == dataset.class_names[kept["label"][wrong[order[0]]]]
    assert first["confidence"] == pytest.approx(kept["confidence"][wrong[order[0]]])
    sheet = cv2.imread(str(folder / "mistakes.png"))[..., ::-1]
    side, columns = facts["side"], facts["columns"]
    with contextlib.closing(
        split_batches(set_up(config, 10), dataset, config.test_split)
    ) as batches:
        seen = np.concatenate([batch["image"][batch["mask"] > 0] for batch in batches])
    for place, index in enumerate(facts["pictures"]):
        top, left = side * (place // columns), side * (place % columns)
        np.testing.assert_array_equal(sheet[top : top + side, left : left + side], seen[index])


def test_large_pictures_in_color_become_tiles_of_a_sheet_that_is_small():
    chance = np.random.default_rng(0)
    pictures = chance.integers(0, 255, (24, 4, 4, 3), np.uint8).repeat(56, 1).repeat(56, 2)
    tiles = [mistakes.tile_of(picture) for picture in pictures]
    assert {tile.shape for tile in tiles} == {(80, 80, 3)}
    png = mistakes.encode_png(mistakes.sheet_of(tiles[:23]))
    sheet = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert sheet.shape == (320, 480, 3)
    assert not sheet[-80:, -80:].any()
    # 256 colors are not all, and near.
    difference = sheet[:80, 80:160].astype(int) - tiles[1]
    assert np.abs(difference).mean() < 16


def test_a_run_never_fails_by_its_pictures(copied_run, short_run, config, dataset, capsys):
    shutil.rmtree(copied_run / "predictions")
    (copied_run / "predictions").mkdir()
    (copied_run / "predictions" / "test.npz").write_bytes(b"half of it")
    mistakes.try_to_write(copied_run, short_run[1], set_up(config, 10), dataset)
    assert capsys.readouterr().err.startswith("warning: no pictures of mistakes: RecordError")
    assert not (copied_run / "predictions" / "mistakes.png").exists()


def test_a_run_without_mistakes_or_predictions_has_no_pictures(
    copied_run, short_run, config, dataset
):
    folder = copied_run / "predictions"
    kept = dict(np.load(folder / "test.npz"))
    shutil.rmtree(folder)
    assert mistakes.write(copied_run, short_run[1], set_up(config, 10), dataset) == 0
    folder.mkdir()
    np.savez(folder / "test.npz", **kept | {"predicted": kept["label"]})
    assert mistakes.write(copied_run, short_run[1], set_up(config, 10), dataset) == 0
    assert [path.name for path in folder.iterdir()] == ["test.npz"]
