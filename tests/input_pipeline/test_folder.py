"""A user's own folder of pictures."""

import shutil

import numpy as np
import pytest
from PIL import Image

from input_pipeline import DataError, datasets, loader


@pytest.fixture
def pictures(tmp_path):
    """Two splits of two classes whose pictures are of one color; `dog` is brighter."""
    for split, count in (("train", 20), ("val", 4)):
        for label, name in enumerate(("cat", "dog")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                color = (100 * label + number,) * 3
                Image.new("RGB", (6, 6), color).save(folder / f"{number}.png")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "train" / "cat" / "Thumbs.db").write_bytes(b"junk")
    return tmp_path


def test_classes_and_splits_are_the_folders(pictures):
    dataset = datasets.load(f"folder:{pictures}")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.split_sizes == {"train": 40, "val": 8}


def test_labels_belong_to_the_pictures(pictures):
    dataset = datasets.load(f"folder:{pictures}")
    (batch,) = loader.eval_batches(dataset, "val", image_size=6, batch_size=8)
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 0] >= 100, batch["label"] == 1)
    assert len(np.unique(batch["image"][:, 0, 0, 0])) == 8


def test_a_slice_has_every_class(pictures):
    source = datasets.load(f"folder:{pictures}").source("train[:50%]")
    assert {source[index]["label"] for index in range(len(source))} == {0, 1}


def test_version_follows_the_files(pictures):
    before = datasets.load(f"folder:{pictures}").version
    assert datasets.load(f"folder:{pictures}").version == before
    (pictures / "val" / "dog" / "3.png").unlink()
    assert datasets.load(f"folder:{pictures}").version != before


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_broken_picture_is_named_when_it_is_decoded(pictures, num_workers):
    broken = pictures / "val" / "dog" / "2.png"
    broken.write_bytes(broken.read_bytes()[:30])
    dataset = datasets.load(f"folder:{pictures}")
    batches = loader.eval_batches(
        dataset, "val", image_size=6, batch_size=8, num_workers=num_workers
    )
    with pytest.raises(DataError, match=r"val/dog/2\.png"):
        list(batches)


def test_a_picture_that_went_away_is_named(pictures):
    dataset = datasets.load(f"folder:{pictures}")
    (pictures / "val" / "dog" / "2.png").unlink()
    with pytest.raises(DataError, match=r"val/dog/2\.png cannot be read"):
        list(loader.eval_batches(dataset, "val", image_size=6, batch_size=8))


def test_worker_processes_read_folders(pictures):
    dataset = datasets.load(f"folder:{pictures}")
    options = {"image_size": 6, "batch_size": 8}
    (here,) = loader.eval_batches(dataset, "val", **options)
    (there,) = loader.eval_batches(dataset, "val", **options, num_workers=1)
    np.testing.assert_array_equal(here["image"], np.array(there["image"]))


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ([], "has no folders"),
        (["train"], "has no class folders"),
        (["n01440764"], "if this is a class"),
        (["train/cat"], "class folder .*cat' has no pictures"),
    ],
)
def test_an_empty_folder_is_one_sentence(tmp_path, folders, sentence):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DataError, match=sentence):
        datasets.load(f"folder:{tmp_path}")


def test_a_class_that_training_lacks_is_one_sentence(pictures):
    (pictures / "val" / "dog").rename(pictures / "val" / "god")
    with pytest.raises(DataError, match="no folder of that name in the train split"):
        datasets.load(f"folder:{pictures}")


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        datasets.load(f"folder:{tmp_path}/nowhere")


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_a_validation_split_is_known_by_each_of_its_usual_names(pictures, name):
    (pictures / "val").rename(pictures / name)
    dataset = datasets.load(f"folder:{pictures}")
    assert dataset.split_sizes == {"train": 40, name: 8}
    for asked in ("validation", "val", "valid"):
        assert dataset.num_examples(f"{asked}[:50%]") == 4
        assert dataset.source(f"train+{asked}").describe(40).startswith(f"{pictures}/{name}/")
    assert dataset.num_examples("all") == 48


def test_two_validation_splits_are_told_apart(pictures):
    shutil.copytree(pictures / "val", pictures / "valid")
    dataset = datasets.load(f"folder:{pictures}")
    assert dataset.source("valid").describe(0).startswith(f"{pictures}/valid/")
    with pytest.raises(DataError, match=r"unknown split .*'validation'.*known: train, val, valid"):
        dataset.num_examples("validation")


def test_a_split_that_a_folder_lacks_is_one_sentence_with_those_that_it_has(pictures):
    with pytest.raises(DataError, match=r"unknown split .*'test' \(known: train, val\)"):
        datasets.load(f"folder:{pictures}").num_examples("test")
