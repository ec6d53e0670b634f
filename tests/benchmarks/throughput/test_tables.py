"""Tables as CSV: read back as they were, and written without replacing what is no file."""

import os
import stat

import pytest

from benchmarks.errors import ConfigError
from benchmarks.throughput import tables
from benchmarks.throughput.loop_overhead import LoopOverhead
from benchmarks.throughput.model_speed import Speed

_SPEEDS = [
    Speed("resnet50", 224, 256, "bfloat16", 0.1 + 0.2, 1e-300, 3.0, 1 / 3, 2.0, 2**40, 1.5),
    Speed("mobilenet_v1:padding=torch,width=0.5", 32, 8, "float32", 1, 2, 3, 4, 5, None, 6),
]


def test_what_was_written_is_read_back(tmp_path):
    path = tmp_path / "models.csv"
    tables.write_csv(_SPEEDS, path)
    assert tables.read_csv(Speed, path) == _SPEEDS
    assert tables.read_csv(Speed, tmp_path / "other.csv") == []
    with pytest.raises(ConfigError, match="has other columns than this version writes"):
        tables.read_csv(LoopOverhead, path)


def test_a_table_is_whole_at_any_moment(tmp_path, monkeypatch):
    path = tmp_path / "models.csv"
    tables.write_csv(_SPEEDS[:1], path)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        tables.write_csv(_SPEEDS, path)
    assert tables.read_csv(Speed, path) == _SPEEDS[:1]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    tables.write_csv(_SPEEDS, path)
    assert os.read(reading, 10**4).count(b"\n") == 3
    os.close(reading)
    assert stat.S_ISFIFO(path.stat().st_mode)
