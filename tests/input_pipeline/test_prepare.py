"""Preparing datasets, and reading what is or is not prepared."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tensorflow_datasets as tfds

from input_pipeline import DataError, datasets, prepare

# Prepares four pictures in argv[1], argv[2] seconds each, through a builder that needs no TensorFlow.
SLOW_PREPARATION = """
import io, sys, time
from pathlib import Path
import tensorflow_datasets as tfds
from PIL import Image
from input_pipeline import prepare

class Slow(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        })
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(4):
            time.sleep(float(sys.argv[2]))
            file = io.BytesIO()
            Image.new("RGB", (8, 8), (60 * index, 0, 0)).save(file, "PNG")
            yield index, {"image": file.getvalue(), "label": index % 2}

builder = Slow(data_dir=sys.argv[1], file_format="array_record")
print(prepare.run_builder(builder, Path(sys.argv[1])))
"""


@pytest.fixture
def start_slow_preparation(tmp_path):
    """Starts such a process; ends those that a failed test left."""
    started = []

    def start(seconds):
        command = [sys.executable, "-c", SLOW_PREPARATION, str(tmp_path), str(seconds)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for_half_written(process, data_dir):
    while not (unfinished := list(data_dir.glob("slow/incomplete.*"))):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    return unfinished


def assert_prepared_without_leftovers(process, data_dir):
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output.strip() == str(data_dir / "slow" / "1.0.0")
    assert [path.name for path in (data_dir / "slow").iterdir()] == ["1.0.0"]
    source = datasets.load("slow", str(data_dir)).source("train")
    assert sorted(source[index]["label"] for index in range(4)) == [0, 0, 1, 1]
    return errors


def test_a_killed_preparation_is_started_again_without_leftovers(tmp_path, start_slow_preparation):
    downloads = tmp_path / "downloads"
    (downloads / "slow").mkdir(parents=True)
    (downloads / "slow" / "pictures.tar").write_bytes(b"whole")
    leftovers = [
        downloads / "slow" / "labels.csv.tmp.0123",
        downloads / "extracted" / "incomplete.0123_TAR.pictures.tar",
    ]
    others = [
        downloads / "other" / "labels.csv.tmp.0123",
        downloads / "extracted" / "incomplete.0123_TAR.others.tar",
    ]
    for directory in (*leftovers, *others):
        directory.mkdir(parents=True)
    killed = start_slow_preparation(seconds=60)
    (half_written,) = wait_for_half_written(killed, tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert half_written.exists()
    errors = assert_prepared_without_leftovers(start_slow_preparation(seconds=0), tmp_path)
    assert errors.splitlines() == [f"preparing slow in {tmp_path / 'slow' / '1.0.0'}"]
    assert not any(directory.exists() for directory in leftovers)
    assert all(directory.exists() for directory in others)
    assert (downloads / "slow" / "pictures.tar").exists()


def test_a_second_process_waits_and_takes_over_when_the_first_is_killed(
    tmp_path, start_slow_preparation
):
    first = start_slow_preparation(seconds=60)
    (half_written,) = wait_for_half_written(first, tmp_path)
    second = start_slow_preparation(seconds=0)
    assert "another process is preparing slow" in second.stderr.readline()
    assert half_written.exists()
    first.kill()
    first.communicate()
    assert_prepared_without_leftovers(second, tmp_path)


def test_a_second_process_finds_what_the_first_prepared(tmp_path, start_slow_preparation):
    first = start_slow_preparation(seconds=1)
    wait_for_half_written(first, tmp_path)
    second = start_slow_preparation(seconds=60)
    assert_prepared_without_leftovers(first, tmp_path)
    errors = assert_prepared_without_leftovers(second, tmp_path)
    assert errors.splitlines() == [
        f"another process is preparing slow in {tmp_path}; waiting for it to end"
    ]


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
def catalog(data_dir, digits, tmp_path):
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


def test_the_newest_version_is_read_unless_one_is_asked_for(catalog):
    assert datasets.load("cifar10", str(catalog)).version == "3.0.10"
    assert datasets.load("cifar10:3.0.2", str(catalog)).version == "3.0.2"


def test_the_only_config_or_the_default_one_is_read(catalog):
    assert datasets.load("imagenette", str(catalog)).num_examples("test") == 360
    assert datasets.load("imagenette/160px", str(catalog)).num_examples("test") == 360
    shutil.copytree(catalog / "imagenette" / "160px", catalog / "imagenette" / "full")
    with pytest.raises(DataError, match="say imagenette/160px or imagenette/full"):
        datasets.load("imagenette", str(catalog))
    (catalog / "imagenette" / ".config").mkdir()
    default = json.dumps({"default_config_name": "full"})
    (catalog / "imagenette" / ".config" / "metadata.json").write_text(default)
    assert datasets.load("imagenette", str(catalog)).num_examples("test") == 360


def test_what_is_not_prepared_gets_its_command(catalog):
    for name in ("cifar10:9.9.9", "imagenette/320px", "mnist"):
        with pytest.raises(DataError, match=f"prepare --dataset={name} --data_dir="):
            datasets.load(name, str(catalog))


def test_another_file_format_is_one_sentence(catalog):
    edit(catalog / "cifar10" / "3.0.10", fileFormat="tfrecord")
    with pytest.raises(DataError, match="holds tfrecord"):
        datasets.load("cifar10", str(catalog))


def test_damaged_metadata_is_one_sentence(catalog):
    (catalog / "cifar10" / "3.0.10" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"metadata in .* cannot be read") as caught:
        datasets.load("cifar10", str(catalog))
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_records_are_one_sentence(catalog):
    (records,) = (catalog / "cifar10" / "3.0.10").glob("*-test*")
    size = records.stat().st_size
    os.truncate(records, size // 2)
    with pytest.raises(DataError, match="cannot be read"):
        datasets.load("cifar10", str(catalog)).source("test")[359]
    records.unlink()
    with pytest.raises(DataError, match="1 of the 1 files of split 'test' are missing"):
        datasets.load("cifar10", str(catalog)).source("test")


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


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("imagenette/320", "unknown config of imagenette '320', did you mean 320px"),
        ("imagenet2012", r"--manual_dir=DIR \(.*ILSVRC2012_img_train\.tar"),
    ],
)
def test_what_tfds_would_not_find_is_one_sentence(tmp_path, monkeypatch, name, sentence):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    with pytest.raises(DataError, match=sentence) as caught:
        prepare.prepare(name, str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_builder_that_fails_is_one_sentence_and_leaves_nothing(tmp_path):
    class Failing(tfds.testing.DummyDataset, skip_registration=True):
        def _generate_examples(self, range_=None):
            raise ConnectionError("no network\nand many more lines")

    builder = Failing(data_dir=str(tmp_path), file_format="array_record")
    with pytest.raises(DataError, match=r"could not prepare 'failing': no network$"):
        prepare.run_builder(builder, tmp_path)
    assert list((tmp_path / "failing").iterdir()) == []


def test_the_command_documents_every_flag():
    command = [sys.executable, "-m", "input_pipeline.prepare", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for flag in ("dataset", "data_dir", "manual_dir", "shorter_side", "[no]verify"):
        assert re.search(rf"^  --{re.escape(flag)}(=\w+)?$", said, re.MULTILINE)


def test_the_command_ends_a_mistake_with_status_2():
    command = [sys.executable, "-m", "input_pipeline.prepare", "--dataset=synthetic"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: dataset 'synthetic' is read as it is and needs no preparation\n"


def test_the_command_prepares_a_plug_ins_dataset(command_here, somebodys_plugin, tmp_path):
    done = command_here(
        "input_pipeline.prepare",
        f"--plugins={somebodys_plugin}",
        "--dataset=shades",
        f"--data_dir={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    directory = tmp_path / "shades" / "1.0.0"
    assert done.stdout == f"shades/1.0.0 is prepared in {directory} (train 2)\n"
    unknown = command_here("input_pipeline.prepare", "--plugins=nobodys", "--dataset=shades")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("error: there is no module nobodys here")


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
