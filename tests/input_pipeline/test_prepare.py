"""Preparing datasets, and reading what is or is not prepared."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from input_pipeline import DataError, datasets, prepare


def test_several_processes_may_prepare_at_once(tmp_path):
    script = (
        "from input_pipeline import datasets\n"
        f"source = datasets.load('digits', {str(tmp_path)!r}).source('train')\n"
        "assert {source[i]['label'] for i in range(1257)} == set(range(10))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["digits"]


def test_what_a_killed_preparation_left_is_cleared_away(tmp_path):
    for debris in (tmp_path / ".digits-1.0.0-abc", tmp_path / "digits" / "1.0.0"):
        debris.mkdir(parents=True)
        (debris / "digits-train.array_record-00000-of-00001").write_bytes(b"half")
    dataset = datasets.load("digits", str(tmp_path))
    assert dataset.source("train")[0]["image"].startswith(b"\x89PNG")
    assert not (tmp_path / ".digits-1.0.0-abc").exists()


def test_a_data_dir_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="name a directory that can be written"):
        datasets.load("digits", str(tmp_path / "file"))


@pytest.fixture
def catalogue(data_dir, digits, tmp_path):
    """A data directory with two versions and two configs of datasets made from digits."""
    original = os.path.join(data_dir, "digits", "1.0.0")
    for place in ("cifar10/3.0.2", "cifar10/3.0.10", "imagenette/160px/1.0.0"):
        shutil.copytree(original, tmp_path / place)
        *_, version = place.split("/")
        edit(tmp_path / place, version=version)
    return tmp_path


def edit(directory, **fields):
    path = directory / "dataset_info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_the_newest_version_is_read_unless_one_is_asked_for(catalogue):
    assert datasets.load("cifar10", str(catalogue)).version == "3.0.10"
    assert datasets.load("cifar10:3.0.2", str(catalogue)).version == "3.0.2"


def test_the_only_config_or_the_default_one_is_read(catalogue):
    assert datasets.load("imagenette", str(catalogue)).num_examples("test") == 360
    assert datasets.load("imagenette/160px", str(catalogue)).num_examples("test") == 360
    shutil.copytree(catalogue / "imagenette" / "160px", catalogue / "imagenette" / "full")
    with pytest.raises(DataError, match="say imagenette/160px or imagenette/full"):
        datasets.load("imagenette", str(catalogue))
    (catalogue / "imagenette" / ".config").mkdir()
    default = json.dumps({"default_config_name": "full"})
    (catalogue / "imagenette" / ".config" / "metadata.json").write_text(default)
    assert datasets.load("imagenette", str(catalogue)).num_examples("test") == 360


def test_what_is_not_prepared_gets_its_command(catalogue):
    for name in ("cifar10:9.9.9", "imagenette/320px", "mnist"):
        with pytest.raises(DataError, match=f"prepare --dataset={name} --data_dir="):
            datasets.load(name, str(catalogue))


def test_another_file_format_is_one_sentence(catalogue):
    edit(catalogue / "cifar10" / "3.0.10", fileFormat="tfrecord")
    with pytest.raises(DataError, match="holds tfrecord"):
        datasets.load("cifar10", str(catalogue))


def test_damaged_metadata_is_one_sentence(catalogue):
    (catalogue / "cifar10" / "3.0.10" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"metadata in .* cannot be read") as caught:
        datasets.load("cifar10", str(catalogue))
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_records_are_one_sentence(catalogue):
    (records,) = (catalogue / "cifar10" / "3.0.10").glob("*-test*")
    size = records.stat().st_size
    os.truncate(records, size // 2)
    with pytest.raises(DataError, match="cannot be read"):
        datasets.load("cifar10", str(catalogue)).source("test")[359]
    records.unlink()
    with pytest.raises(DataError, match="1 of the 1 files of split 'test' are missing"):
        datasets.load("cifar10", str(catalogue)).source("test")


def test_preparing_digits_needs_no_tensorflow(data_dir, digits):
    assert prepare.prepare("digits", data_dir).name == "1.0.0"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mnist", r"pip install 'isobudget\[prepare\]'"),
        ("minst", "did you mean .*mnist"),
        ("synthetic", "needs no preparation"),
    ],
)
def test_what_cannot_be_prepared_is_one_sentence(tmp_path, monkeypatch, name, sentence):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=sentence):
        prepare.prepare(name, str(tmp_path))


def test_the_command_ends_a_mistake_with_status_2():
    command = [sys.executable, "-m", "input_pipeline.prepare", "--dataset=synthetic"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("needs no preparation")


def test_reading_never_imports_tensorflow_and_importing_the_package_is_cheap(data_dir, digits):
    script = (
        "import sys, input_pipeline\n"
        "assert not {'grain', 'tensorflow_datasets', 'jax'} & set(sys.modules)\n"
        "from input_pipeline import datasets, loader\n"
        f"dataset = datasets.load('digits', {data_dir!r})\n"
        "next(loader.eval_batches(dataset, 'test', image_size=8, batch_size=4))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
