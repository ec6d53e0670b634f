"""The check that decodes every record."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from input_pipeline import DataError, datasets, loader, passes, prepared
from input_pipeline.verify import verify


@pytest.fixture
def copy(data_dir, digits, tmp_path):
    """Returns the directory of a copy of digits, prepared as `cifar10`."""
    directory = tmp_path / "cifar10" / "3.0.2"
    shutil.copytree(os.path.join(data_dir, "digits", "1.0.0"), directory)
    return directory


def shard_of(directory, split):
    builder = prepared.read_builder(directory)
    (shard,) = [shard for shard in passes.shards(builder) if shard.split == split]
    return shard


def rewrite(directory, split, change):
    """Writes a split's file again with the list of its records changed."""
    shard = shard_of(directory, split)
    opened = passes.open_shard(shard)
    records = change([opened[index] for index in range(len(opened))])
    writer = ArrayRecordWriter(str(shard.path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def break_pictures(*indices):
    def change(records):
        for index in indices:
            example = prepared.parse_example(records[index])
            values = example.features.feature["image"].bytes_list.value
            values[0] = values[0][:40]
            records[index] = example.SerializeToString()
        return records

    return change


def test_a_whole_dataset_has_no_bad_record(data_dir, digits):
    report = verify("digits", data_dir)
    assert report.bad == ()
    assert report.decoded == report.expected == {"test": 360, "train": 1257, "validation": 180}


def test_broken_pictures_are_listed_where_they_are(copy):
    rewrite(copy, "test", break_pictures(300, 7))
    rewrite(copy, "train", break_pictures(1256))
    report = verify("cifar10", str(copy.parents[1]))
    assert [(split, index) for split, index, _ in report.bad] == [
        ("test", 7),
        ("test", 300),
        ("train", 1256),
    ]
    assert "record 7 of" in report.bad[0].reason
    assert report.decoded == {"test": 358, "train": 1256, "validation": 180}
    assert str(report).splitlines()[-1] == (
        "records that decode: test 358 of 360, validation 180 of 180, train 1256 of 1257"
    )


def test_records_that_are_no_examples_are_listed(copy):
    rewrite(copy, "test", lambda records: [b"\xff" * 20, *records[1:]])
    (bad,) = verify("cifar10", str(copy.parents[1])).bad
    assert (bad.split, bad.position) == ("test", 0)
    assert "cannot be read" in bad.reason


def test_a_flipped_byte_is_found(copy):
    path = shard_of(copy, "test").path
    damaged = bytearray(path.read_bytes())
    written = [position for position, byte in enumerate(damaged) if byte]  # the rest is padding
    damaged[written[len(written) // 2]] ^= 1
    path.write_bytes(damaged)
    report = verify("cifar10", str(copy.parents[1]))
    assert report.bad
    assert {record.split for record in report.bad} == {"test"}


def test_a_file_with_too_few_records_is_listed(copy):
    rewrite(copy, "test", lambda records: records[:-1])
    report = verify("cifar10", str(copy.parents[1]))
    (bad,) = report.bad
    assert (bad.split, bad.position) == ("test", 0)
    assert "holds 359 records and not 360" in bad.reason
    assert report.decoded["test"] == 0


def test_missing_and_cut_files_are_listed(copy):
    shard_of(copy, "test").path.unlink()
    cut = shard_of(copy, "validation").path
    os.truncate(cut, cut.stat().st_size // 2)
    bad = verify("cifar10", str(copy.parents[1])).bad
    assert [record.split for record in bad] == ["test", "validation"]
    assert "is missing" in bad[0].reason
    assert "cannot be read" in bad[1].reason


def test_pictures_with_too_many_pixels_are_listed(copy, command_here):
    options = ("--verify", "--dataset=cifar10", f"--data_dir={copy.parents[1]}")
    done = command_here("input_pipeline.prepare", *options, "--max_pixels=63")
    assert done.returncode == 1
    assert "it has 8 x 8 pixels, max_pixels allows 63" in done.stdout
    assert command_here("input_pipeline.prepare", *options, "--max_pixels=64").returncode == 0
    refused = command_here("input_pipeline.prepare", *options, "--max_pixels=0")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_labels_that_are_lists_do_not_matter(copy):
    """As in `imagenet2012_real`, which has several labels a picture."""
    path = copy / "features.json"
    features = json.loads(path.read_text())
    fields = features["featuresDict"]["features"]
    sequence = {"feature": fields["label"]}
    fields["label"] = {
        "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
        "sequence": sequence,
    }
    path.write_text(json.dumps(features))
    assert verify("cifar10", str(copy.parents[1])).decoded["test"] == 360


def lose_names(directory, kept):
    path = directory / "label.labels.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))


def give_label(number, index):
    def change(records):
        example = prepared.parse_example(records[index])
        example.features.feature["label"].int64_list.value[:] = [number]
        records[index] = example.SerializeToString()
        return records

    return change


def test_labels_that_no_class_has_are_listed(copy):
    lose_names(copy, 9)
    report = verify("cifar10", str(copy.parents[1]))
    assert len(report.bad) > 100
    assert "has label 9, but the metadata name 9 classes, 0 to 8" in (report.bad[0].reason)


@pytest.mark.parametrize("number", [-1, 10])
def test_one_label_that_no_class_has_is_listed(copy, number):
    rewrite(copy, "test", give_label(number, 7))
    (bad,) = verify("cifar10", str(copy.parents[1])).bad
    assert (bad.split, bad.position) == ("test", 7)
    assert f"has label {number}, " in bad.reason


@pytest.mark.parametrize("positive_class", ["", "3"])
def test_labels_that_no_class_has_are_refused_when_a_split_is_opened(copy, positive_class):
    lose_names(copy, 5)
    dataset = datasets.load("cifar10", str(copy.parents[1]), positive_class)
    with pytest.raises(
        DataError, match=r"has label [5-9], but the metadata name 5 classes, 0 to 4"
    ):
        dataset.source("train")


def test_a_split_without_labels_is_refused_when_it_is_opened(copy):
    rewrite(copy, "test", give_label(-1, 0))
    dataset = datasets.load("cifar10", str(copy.parents[1]))
    with pytest.raises(DataError, match=r"record 0 of split .test. .* has label -1, .*has labels"):
        loader.eval_batches(dataset, "test[:10]", image_size=8, batch_size=4)
    assert len(dataset.source("train")) == 1257


def test_a_single_label_that_no_class_has_is_an_example_that_cannot_be_read(copy, capsys):
    rewrite(copy, "test", give_label(10, 7))
    dataset = datasets.load("cifar10", str(copy.parents[1]))
    batches = loader.eval_batches(
        dataset, "test", image_size=8, batch_size=360, max_unreadable_fraction=0.1
    )
    assert sum(batch["mask"].sum() for batch in batches) == 359
    assert "has label 10, but the metadata name 10 classes" in capsys.readouterr().err


def test_opening_a_split_leaves_damaged_records_to_those_who_use_them(copy):
    rewrite(copy, "test", lambda records: [b"\xff" * 20, *records[1:]])
    assert len(datasets.load("cifar10", str(copy.parents[1])).source("test")) == 360


def test_the_broken_pictures_of_a_folder_are_named(tmp_path):
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (6, 6)).save(tmp_path / split / label / f"{number}.png")
    broken = tmp_path / "val" / "dog" / "2.png"
    broken.write_bytes(broken.read_bytes()[:30])
    report = verify(f"folder:{tmp_path}")
    (bad,) = report.bad
    assert bad.split == "val"
    assert str(Path("val", "dog", "2.png")) in bad.reason
    assert report.decoded == {"train": 6, "val": 5}


def test_the_command_ends_with_status_1_and_a_line_for_each_bad_record(copy):
    rewrite(copy, "test", break_pictures(7))
    command = [sys.executable, "-m", "input_pipeline.prepare", "--verify", "--dataset=cifar10"]
    done = subprocess.run(
        [*command, f"--data_dir={copy.parents[1]}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    bad, summary = done.stdout.splitlines()
    assert bad.startswith("bad: test 7: ")
    assert "test 359 of 360" in summary
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ("mnist", "is not prepared"),
        ("synthetic", "nothing to verify"),
        ("folder:/nowhere", "is not a folder"),
    ],
)
def test_what_cannot_be_verified_is_one_sentence(tmp_path, dataset, sentence):
    with pytest.raises(DataError, match=sentence):
        verify(dataset, str(tmp_path))
