"""What recognizing pictures takes is measured on files, beside the model alone."""

import csv

import numpy as np
import pytest
from PIL import Image

from benchmarks.machine import timing
from benchmarks.recognize.recognizer import Recognizer
from benchmarks.throughput import recognition_speed


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(5):
        picture = Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8))
        picture.save(tmp_path / f"{index}.png")
    return tmp_path


def test_the_whole_and_the_model_alone_are_timed_in_turns(short_run, folder, monkeypatch):
    calls = []
    recognize, alone = Recognizer.recognize, recognition_speed.time_model_alone
    monkeypatch.setattr(
        Recognizer, "recognize", lambda *given: (calls.append("whole"), recognize(*given))[1]
    )
    monkeypatch.setattr(
        recognition_speed,
        "time_model_alone",
        lambda *given: (calls.append("alone"), alone(*given))[1],
    )
    speed = recognition_speed.measure(short_run[0], sorted(folder.iterdir()))
    assert calls == ["alone", *["whole", "alone"] * speed.rounds]
    assert (speed.model, speed.image_size, speed.pictures) == ("tiny", 32, 5)
    assert speed.seconds > 0
    assert speed.model_seconds > 0


def test_the_share_is_the_median_of_the_rounds_own(short_run, folder, monkeypatch):
    clock = iter([0.0, 4.0, 0.0, 5.0, 0.0, 5.0, 0.0, 5.0, 0.0, 10.0])
    alone = iter([9.0, 1.0, 1.0, 2.0, 3.0, 9.0])  # the first warms up
    monkeypatch.setattr(recognition_speed, "time_model_alone", lambda *given: next(alone))
    monkeypatch.setattr(Recognizer, "recognize", lambda *given: None)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    speed = recognition_speed.measure(short_run[0], sorted(folder.iterdir()))
    assert (speed.seconds, speed.model_seconds, speed.model_share) == (5.0, 2.0, 0.4)


def test_the_command_prints_and_writes_a_row_for_each_run(command_here, short_run, folder):
    out = folder.parent / "speed.csv"
    given = ("benchmarks.throughput", f"--recognize={short_run[0]}", f"--out={out}")
    ended = command_here(*given, f"--pictures={folder}")
    assert ended.returncode == 0, ended.stderr
    assert "the model alone" in ended.stdout
    (row,) = csv.DictReader(out.open())
    assert (row["model"], row["pictures"]) == ("tiny", "5")
    (folder / "no.png").write_bytes(b"no picture")
    for arguments, says in (
        ((), "--recognize and --pictures go together"),
        ((f"--pictures={folder}",), "no.png is not a picture"),
        ((f"--pictures={folder}", "--loop"), "measurements of their own"),
    ):
        ended = command_here(*given, *arguments)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
        assert says in ended.stderr
