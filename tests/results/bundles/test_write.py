"""Bundles are the same bytes each time, small, and say nothing of who packed them."""

import dataclasses
import getpass
import json
import os
import shutil
import socket
import zipfile
from pathlib import Path

import pytest

from results import RecordError, records
from results.bundles import open_source, read_run, write
from results.records import layout

_PUBLISHED = Path(__file__).parents[3] / "results" / "published" / "digits"
_RUN = _PUBLISHED / "runs" / "squeezenet1_1-seed0"


@pytest.fixture
def run(tmp_path):
    """A published run, the test's own to change."""
    return Path(shutil.copytree(_RUN, tmp_path / "somebody" / _RUN.name))


def test_the_same_run_gives_the_same_bytes_wherever_it_lies_and_whenever_it_is_packed(
    run, tmp_path
):
    for path in run.rglob("*"):
        os.utime(path, (10**9, 10**9))
    write.write([run], tmp_path / "a.zip")
    write.write([_RUN], tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_bundle_is_read_back_as_the_run_that_it_was_made_of(tmp_path):
    listed = write.write([_RUN], tmp_path / "a.zip")
    with open_source(tmp_path / "a.zip") as source:
        run = read_run(source, _RUN.name)
        assert set(source.names()) == {"manifest.json", *listed}
    assert run.record.metrics == records.read(layout.path_in(_RUN)).metrics
    assert len(run.predictions["test"]["index"]) == run.record.dataset.test_examples
    assert run.log


def test_no_path_and_no_name_of_the_submitter_is_in_a_bundle(run, tmp_path):
    path = layout.path_in(run)
    record = records.read(path)
    config = dict(record.config) | {
        "data_dir": "/home/lovelace/data",
        "init_from": "/home/lovelace/weights.npz",
        "tuned": "C:\\Users\\lovelace\\tuned.json",
    }
    changed = dataclasses.replace(
        record,
        config=config,
        command="python -m benchmarks.train --workdir=/home/lovelace/runs --config='/home/lovelace/my c.py'",
        hardware=dict(record.hardware) | {"hostname": "lovelaces-laptop"},
        error="no file ~/runs/x.py of \\\\server\\lovelace\\y",
        dataset=dataclasses.replace(record.dataset, name="folder:/home/lovelace/flowers"),
    )
    records.write(changed, path)
    write.write([run], tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        text = "".join(
            archive.read(name).decode() for name in archive.namelist() if name.endswith(".json")
        )
    assert "folder:flowers" in text
    for secret in ("lovelace", "/home", "hostname", "Users", "somebody", str(tmp_path)):
        assert secret not in text
    for name in {getpass.getuser(), socket.gethostname()} - {"root", "user", "localhost"}:
        assert name not in text


def test_a_hundred_runs_of_digits_are_below_five_megabytes(tmp_path):
    paths = sorted((_PUBLISHED / "runs").iterdir())
    write.write(paths, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").stat().st_size / len(paths) * 100 < 5e6


def test_two_runs_of_one_name_and_a_folder_without_runs_are_named(run, tmp_path):
    with pytest.raises(RecordError, match=f"there are two runs '{run.name}'"):
        write.write([run, _RUN], tmp_path / "a.zip")
    with pytest.raises(RecordError, match="there is no finished run"):
        write.write([tmp_path], tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_the_command_says_what_it_packed(command_here, tmp_path):
    done = command_here("results.submit", _RUN, f"--out={tmp_path / 'a.zip'}")
    assert done.returncode == 0
    assert done.stdout.startswith(f"1 run in {tmp_path / 'a.zip'}, ")
    manifest = json.loads(zipfile.ZipFile(tmp_path / "a.zip").read("manifest.json"))
    assert all(len(each["sha256"]) == 64 for each in manifest["files"].values())
    done = command_here("results.submit", _RUN)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
