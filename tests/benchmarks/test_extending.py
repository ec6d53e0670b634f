"""The package of docs/extending.md, used from outside the repository: from the suite to `reproduce`."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from results import records

_PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
_FILE = re.compile(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with the files of the page, as its reader writes them."""
    folder = tmp_path_factory.mktemp("project")
    files = dict(_FILE.findall(_PAGE.read_text()))
    assert len(files) == 5
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "mypackage" / "__init__.py").touch()
    # What the page does not say: its reader has a package of their own with one of our names.
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").write_text("raise AssertionError('not ours')")
    return folder


@pytest.fixture(scope="module")
def site_packages(project, tmp_path_factory) -> Path:
    """A folder in which the package lies as if it were installed, its entry points included."""
    folder = tmp_path_factory.mktemp("site-packages")
    shutil.copytree(project / "mypackage", folder / "mypackage")
    about = folder / "mypackage-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 0.1.0\n")
    (about / "top_level.txt").write_text("mypackage\n")
    modules = "".join(
        f"{each} = mypackage.{each}\n" for each in ("my_net", "my_data", "my_training")
    )
    (about / "entry_points.txt").write_text(f"[isobudget.plugins]\n{modules}")
    return folder


@pytest.fixture(scope="module")
def isobudget(project, tmp_path_factory):
    """Runs a command in the project's folder, as its reader does, with more to find modules in."""
    data_dir = str(tmp_path_factory.mktemp("data"))

    def run(*arguments, search_path=(), python=("-P",)) -> subprocess.CompletedProcess:
        path = os.pathsep.join(map(str, (*search_path, _PAGE.parents[1])))
        return subprocess.run(
            # -P leaves the folder itself out of the search, as the script `isobudget` does.
            [sys.executable, *python, "-m", "isobudget", *map(str, arguments)],
            cwd=project,
            env=os.environ | {"PYTHONPATH": path, "TFDS_DATA_DIR": data_dir},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def suite(isobudget, project) -> Path:
    """The folder of the page's suite."""
    done = isobudget("suite", "--config=my_config.py", "--workdir=runs/shapes")
    assert done.returncode == 0, done.stderr
    return project / "runs" / "shapes"


def test_a_package_that_hides_one_of_ours_is_told_in_one_sentence(isobudget, project):
    done = isobudget("suite", "--config=my_config.py", python=())
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: Python finds {project / 'models'} where isobudget's own")
    assert done.stderr.count("\n") == 1


def test_the_suite_ranks_models_of_a_package_elsewhere(suite):
    with (suite / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"my_net", "my_net:channels=8"}
    assert {row["status"] for row in rows} == {"completed"}
    assert max(float(row["top1"]) for row in rows) > 0.8
    assert "my_net" in (suite / "index.html").read_text()


def test_a_record_names_the_plug_ins_with_the_digest_of_their_source(suite, project):
    folder = suite / "runs" / "my_net-seed0"
    record = records.read(records.path_in(folder))
    assert [each.module for each in record.plugins] == [
        *("mypackage.my_data", "mypackage.my_net", "mypackage.my_training")
    ]
    source = (project / "mypackage" / "my_data.py").read_bytes()
    assert record.plugins[0].digest == hashlib.sha256(source).hexdigest()
    assert record.metrics.test["top2"] == 1.0  # of two classes
    assert json.loads((folder / "config.json").read_text())["plugins"] == [
        *("mypackage.my_net", "mypackage.my_data", "mypackage.my_training")
    ]
    assert record.config["optimizer"]["lion"] == {"b1": 0.9, "b2": 0.99}
    assert record.config["augmentation"]["corner"] == {"fraction": 0.9}


def test_a_run_is_reproduced_bit_by_bit_and_a_change_of_the_plug_in_is_told(
    isobudget, suite, project, tmp_path
):
    path = records.path_in(suite / "runs" / "my_net-seed0")
    done = isobudget("reproduce", path)
    assert done.returncode == 0, done.stderr
    assert "bit-identical" in done.stdout
    assert "plug-in" not in done.stdout
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project / "mypackage", elsewhere / "mypackage")
    with (elsewhere / "mypackage" / "my_training.py").open("a") as file:
        file.write("# Another version of the same.\n")
    (elsewhere / "run").mkdir()
    shutil.copy(path, elsewhere / "run")
    again = subprocess.run(
        [sys.executable, "-m", "isobudget", "reproduce", "run/record.json"],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(_PAGE.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "plug-in: mypackage.my_training was" in again.stdout
    assert "bit-identical" in again.stdout


def test_a_run_recognizes_pictures(isobudget, suite, project):
    picture = Image.new("RGB", (16, 16), (10, 10, 10))
    ImageDraw.Draw(picture).rectangle((4, 4, 11, 11), fill=(230, 200, 90))
    picture.save(project / "picture.png")
    done = isobudget(
        "recognize", "--workdir=runs/shapes/runs/my_net-seed0", "--format=jsonl", "picture.png"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["decision"] == ["square"]


def test_a_missing_plug_in_is_one_sentence_that_names_it_and_who_wants_it(suite, tmp_path):
    path = records.path_in(suite / "runs" / "my_net-seed0")
    done = subprocess.run(
        [sys.executable, "-m", "isobudget", "reproduce", str(path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(_PAGE.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: there is no module mypackage.my_net here: the plug-in, which"
        f" {path} names, is not installed, or not on the PYTHONPATH.\n"
    )


def test_models_and_data_of_an_installed_package_are_there_without_being_named(
    isobudget, site_packages, tmp_path
):
    done = isobudget("summary", "my_net:channels=4", search_path=[site_packages])
    assert done.returncode == 0, done.stderr
    assert "my_net:channels=4 at 32x32" in done.stdout
    done = isobudget(
        *("train", "--config=my_config.py", f"--workdir={tmp_path}", "--config.plugins=()"),
        *(
            "--config.model=my_net",
            "--config.recipe=paper",
            "--config.augmentation.dim.darkest=0.7",
        ),
        search_path=[site_packages],
    )
    assert done.returncode == 0, done.stderr
    record = records.read(records.path_in(tmp_path))
    assert {(each.package, each.version) for each in record.plugins} == {("mypackage", "0.1.0")}
    assert "plugins" not in record.config
    assert (record.config["batch_size"], record.config["optimizer"]["name"]) == (16, "lion")
