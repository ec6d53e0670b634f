"""Folders of users with and without a home, and outputs that cannot be written."""

import os
from pathlib import Path

import pytest

from isobudget import paths
from isobudget.errors import UserError


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home and a name, as in many containers."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)


def test_a_home_is_written_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.expanded("~/data", "--data_dir") == tmp_path / "data"
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert paths.cache_folder() == tmp_path / ".cache"


def test_a_user_without_a_home_is_told_what_to_give_and_has_no_cache(homeless):
    with pytest.raises(UserError, match=r"no home folder for '~/data': give --data_dir as a whole"):
        paths.expanded("~/data", "--data_dir")
    assert paths.cache_folder() is None


def test_the_home_of_nobody_is_one_sentence():
    with pytest.raises(UserError, match=r"for '~nosuchuser/x': give config\.init_from"):
        paths.expanded("~nosuchuser/x", "config.init_from")


def test_what_can_be_written_leaves_nothing_behind(tmp_path):
    paths.check_writable(tmp_path / "new" / "out.json")
    assert [each.name for each in tmp_path.rglob("*")] == ["new"]


@pytest.mark.parametrize(
    ("path", "reason"), [("/dev/null/out.json", "Not a directory"), ("{folder}", "Is a directory")]
)
def test_what_cannot_be_written_is_one_sentence_with_its_flag(tmp_path, path, reason):
    path = path.format(folder=tmp_path)
    with pytest.raises(UserError, match=rf"--out={path} cannot be written: {reason}\."):
        paths.check_writable(path)


def test_what_asks_for_a_home_gets_one_where_there_is_none(homeless, tmp_path, monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: os.environ.get("HOME", path))
    with paths.some_home():
        assert Path.home().is_dir()
    with pytest.raises(RuntimeError):
        Path.home()
    monkeypatch.setenv("HOME", str(tmp_path))
    with paths.some_home():
        assert Path.home() == tmp_path
    assert Path.home() == tmp_path
