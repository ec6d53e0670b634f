"""Nothing in a user's folder is passed over without a word, whatever it is called."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from input_pipeline import DataError, datasets, loader, passes, pictures, preview
from input_pipeline.names import printable
from input_pipeline.verify import verify

_LATIN1 = os.fsdecode(b"caf\xe9.png")


@pytest.fixture
def root(tmp_path):
    for split in ("train", "val"):
        for brightness, label in enumerate(("cat", "dog")):
            (tmp_path / split / label).mkdir(parents=True)
            save(tmp_path / split / label / "0.png", 100 * brightness)
    datasets._say_once.cache_clear()
    return tmp_path


def save(path, brightness=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), (brightness,) * 3).save(path, **options)


def files_of(dataset, split):
    source = dataset.source(split)
    return {
        os.path.relpath(source.describe(i), source.describe(0)[:-1]) for i in range(len(source))
    }


def test_a_folder_of_whichever_pictures_is_read_without_a_word(root, capsys):
    names = [
        "1.jfif",
        "2.avif",
        "3.apng",
        "4.TGA",
        "5.pcx",
        "6.pbm",
        "7.jpe",
        "8.ico",
        "9.j2k",
        "a.qoi",
    ]
    kinds = {".jfif": "JPEG", ".jpe": "JPEG", ".apng": "PNG"}
    for name in names:
        path = root / "train" / "cat" / name
        save(path, 7, format=kinds.get(path.suffix))
    (root / "train" / "Thumbs.db").write_bytes(b"")
    (root / ".DS_Store").write_bytes(b"")
    (root / "__MACOSX" / "train" / "cat").mkdir(parents=True)
    (root / "__MACOSX" / "train" / "cat" / "._0.png").write_bytes(b"")
    report = verify(f"folder:{root}")
    assert (report.bad, report.passed_over) == ((), "")
    assert report.decoded == {"train": 2 + len(names), "val": 2}
    datasets.load(f"folder:{root}")
    assert capsys.readouterr().err == ""


def test_folders_in_a_class_and_linked_ones_are_of_that_class(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    save(elsewhere / "persian" / "1.png", 30)
    save(root / "train" / "cat" / "tabby" / "old" / "2.png", 40)
    (root / "train" / "cat" / "linked").symlink_to(elsewhere)
    (root / "train" / "cat" / "circle").symlink_to(root / "train" / "cat")
    (root / "train" / "hen").symlink_to(elsewhere / "persian")
    dataset = datasets.load(f"folder:{root}")
    assert dataset.class_names == ("cat", "dog", "hen")
    source = dataset.source("train")
    labels = {
        source.describe(i).split("/train/")[1]: source[i]["label"] for i in range(len(source))
    }
    assert labels == {
        "cat/0.png": 0,
        "cat/linked/persian/1.png": 0,
        "cat/tabby/old/2.png": 0,
        "dog/0.png": 1,
        "hen/1.png": 2,
    }


def test_other_files_are_counted_once(root, capsys):
    for name in ("1.heic", "2.HEIC", "sub/3.heic", "notes.txt", "LICENSE"):
        (root / "train" / "cat" / name).parent.mkdir(exist_ok=True)
        (root / "train" / "cat" / name).write_bytes(b"")
    save(root / "stray.png")
    save(root / "val" / "stray.png")
    sentence = "passed over 7 files (3 .heic, 2 .png, 1 without a suffix, 1 .txt)"
    for _ in range(2):
        datasets.load(f"folder:{root}")
    assert capsys.readouterr().err == f"folder:{root}: {sentence}\n"
    assert sentence in str(verify(f"folder:{root}")).splitlines()
    assert capsys.readouterr().err == ""


def test_a_class_whose_pictures_pillow_cannot_read_says_what_there_is(root):
    (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "0.heic")
    with pytest.raises(
        DataError, match=r"'.*train/cat' has no pictures.*passed over 1 file \(1 \.heic\)"
    ):
        datasets.load(f"folder:{root}")


def test_pictures_that_the_table_does_not_name_are_counted(root, capsys):
    for split in ("train", "val"):
        (root / split / "labels.csv").write_text("file,cat\ncat/0.png,1\n")
    (root / "val" / "notes.txt").write_bytes(b"")
    datasets.load(f"folder:{root}")
    sentence = "passed over 3 files that labels.csv does not name (2 .png, 1 .txt)"
    assert capsys.readouterr().err == f"folder:{root}: {sentence}\n"
    assert sentence in str(verify(f"folder:{root}")).splitlines()


def test_recognition_finds_pictures_in_linked_folders_and_counts_other_files(root, capsys):
    (root / "val" / "linked").symlink_to(root / "train" / "cat")
    (root / "val" / "notes.txt").write_bytes(b"")
    (root / "val" / ".hidden").mkdir()
    save(root / "val" / ".hidden" / "0.png")
    files = pictures.find([root / "val"])
    assert files == [root / "val" / name for name in ("cat/0.png", "dog/0.png", "linked/0.png")]
    assert capsys.readouterr().err == f"{root / 'val'}: passed over 1 file (1 .txt)\n"


def test_a_folder_that_cannot_be_read_is_named(root, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("train/cat"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for read in (datasets.load, verify):
        with pytest.raises(DataError, match=r"'.*train/cat' cannot be read \(Permission denied"):
            read(f"folder:{root}")
    with pytest.raises(DataError, match=r"'.*train/cat' cannot be read \(Permission denied"):
        pictures.find([root])


# Names that are not UTF-8.


@pytest.fixture
def latin1(root):
    save(root / "train" / "cat" / _LATIN1)
    save(root / "train" / os.fsdecode(b"ren\xe9e") / "0.png")
    (root / "val" / "cat" / os.fsdecode(b"broken\xe9.png")).write_bytes(b"")
    return root


def test_a_name_that_is_not_utf8_can_be_printed():
    assert printable(_LATIN1) == r"caf\xe9.png"
    assert printable("café 猫\N{NO-BREAK SPACE}.png") == "café 猫\N{NO-BREAK SPACE}.png"
    assert printable("two\nlines\x1b[2J.png") == r"two\u000alines\u001b[2J.png"


def test_a_broken_picture_with_two_lines_in_its_name_is_one_line(root, capsys):
    (root / "val" / "cat" / "two\nlines.png").write_bytes(b"")
    (bad,) = verify(f"folder:{root}").bad
    assert bad.reason.endswith(r"two\u000alines.png is empty; replace or remove it")
    dataset = datasets.load(f"folder:{root}")
    options = {"image_size": 6, "batch_size": 3}
    with pytest.raises(DataError, match=r"two\\u000alines\.png is empty; replace or remove it$"):
        list(loader.eval_batches(dataset, "val", **options))
    list(loader.eval_batches(dataset, "val", **options, max_unreadable_fraction=0.5))
    assert capsys.readouterr().err.count("\n") == 1


def test_names_that_are_not_utf8_are_read_and_can_be_printed(latin1, capsys):
    (latin1 / "val" / os.fsdecode(b"x.h\xe9ic")).write_bytes(b"")
    dataset = datasets.load(f"folder:{latin1}")
    assert dataset.class_names == ("cat", "dog", r"ren\xe9e")
    report = verify(f"folder:{latin1}")
    assert report.decoded == {"train": 4, "val": 2}
    for text in (str(report), *dataset.class_names, capsys.readouterr().err):
        text.encode()
    options = {"image_size": 6, "batch_size": 4, "max_unreadable_fraction": 0.5}
    for num_workers in (0, 1):
        train = loader.train_batches(
            dataset, "train", num_steps=1, seed=0, num_workers=num_workers, **options
        )
        assert next(train)["image"].shape == (4, 6, 6, 3)
        list(loader.eval_batches(dataset, "val", num_workers=num_workers, **options))
        capsys.readouterr().err.encode()
    (batch,) = pictures.batches(pictures.find([latin1 / "val"]), batch_size=3, image_size=6)
    [error] = filter(None, batch.errors)
    assert r"broken\xe9.png is empty" in error
    drawn = preview.grid(
        np.zeros((1, 6, 6, 3), np.uint8), dataset.class_names[2:], f"folder:{_LATIN1}"
    )
    assert drawn.size


def test_the_version_of_a_folder_follows_a_name_that_is_not_utf8(latin1):
    before = datasets.load(f"folder:{latin1}").version
    (latin1 / "train" / "cat" / _LATIN1).rename(
        latin1 / "train" / "cat" / os.fsdecode(b"caf\xe8.png")
    )
    assert datasets.load(f"folder:{latin1}").version != before


def test_verify_and_its_progress_print_any_name(latin1):
    """On a terminal that knows ASCII only."""
    done = subprocess.run(
        [sys.executable, "-m", "input_pipeline.prepare", "--verify", f"--dataset=folder:{latin1}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 1, done.stderr
    assert r"broken\xe9.png is empty" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", [f"folder:{_LATIN1}", "folder:[red]{task}/[/]"])
def test_a_progress_bar_shows_any_name(name, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    with passes.progress(f"verifying {name}", 1) as advance:
        advance(1)
    assert f"verifying {printable(name)}" in capsys.readouterr().err
