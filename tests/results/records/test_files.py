"""Files that are there whole or not at all."""

import concurrent.futures

import numpy as np
import pytest

from results.records import files


def test_of_many_writers_exactly_one_creates_the_file_and_nobody_sees_half(tmp_path):
    path = tmp_path / "folder" / "claimed.json"
    contents = [f"{writer}\n" * 5000 for writer in range(16)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        created = list(pool.map(lambda content: files.create_atomically(path, content), contents))
    assert created.count(True) == 1
    assert path.read_text() == contents[created.index(True)]
    assert [each.name for each in path.parent.iterdir()] == ["claimed.json"]


def test_a_file_system_without_links_still_creates(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.os, "link", no_links)
    assert files.create_atomically(tmp_path / "a", "one")
    assert not files.create_atomically(tmp_path / "a", "two")
    assert (tmp_path / "a").read_text() == "one"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    files.write_atomically(tmp_path / "a", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomically(tmp_path / "a", "new")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"a": "old"}


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"index": np.arange(5), "loss": np.array([0.1, np.nan], np.float32)}
    files.write_arrays(tmp_path / "a.npz", arrays)
    read = np.load(tmp_path / "a.npz")
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
