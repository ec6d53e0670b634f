"""Copies of prepared datasets with smaller pictures."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from input_pipeline import DataError, datasets, prepare, prepared, shrink
from input_pipeline.decoding import decode

SIZES = [(30, 20), (20, 47), (16, 16), (10, 40), (64, 64), (17, 16)]  # width, height


class Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """JPEGs of several sizes, each of one color, and a PNG."""

    VERSION = tfds.core.Version("2.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=["dark", "bright"]),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(SIZES), "test": self._generate_examples(SIZES[:3])}

    def _generate_examples(self, sizes):
        for index, size in enumerate(sizes):
            file = io.BytesIO()
            color = (40 * index, 0, 200)
            Image.new("RGB", size, color).save(file, "PNG" if index == 4 else "JPEG")
            name = f"{index}.img"
            yield index, {"image": file.getvalue(), "label": index % 2, "file_name": name}


@pytest.fixture
def pictures(tmp_path):
    Pictures(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    return str(tmp_path)


def examples(name, data_dir, split="train"):
    source = datasets.load(name, data_dir).source(split)
    return [source[index] for index in range(len(source))]


def test_a_copy_has_the_same_examples_in_the_same_order_but_smaller(pictures):
    directory = prepare.prepare("pictures", pictures, shorter_side=16)
    assert directory == Path(pictures, "pictures_shorter16", "2.0.0")
    copy = datasets.load("pictures_shorter16", pictures)
    original = datasets.load("pictures", pictures)
    assert copy.class_names == original.class_names
    assert copy.split_sizes == original.split_sizes == {"train": 6, "test": 3}
    for split in ("train", "test"):
        for before, after in zip(
            examples("pictures", pictures, split),
            examples("pictures_shorter16", pictures, split),
            strict=True,
        ):
            assert after["label"] == before["label"]
            old, new = decode(before["image"]), decode(after["image"])
            assert min(new.shape[:2]) == min(16, *old.shape[:2])
            assert new.shape[0] / new.shape[1] == pytest.approx(
                old.shape[0] / old.shape[1], rel=0.5 / 16
            )
            np.testing.assert_allclose(new.mean((0, 1)), old.mean((0, 1)), atol=2)


def test_a_picture_that_is_small_enough_keeps_its_bytes(pictures):
    prepare.prepare("pictures", pictures, shorter_side=16)
    pairs = list(
        zip(examples("pictures", pictures), examples("pictures_shorter16", pictures), strict=True)
    )
    small = [min(decode(before["image"]).shape[:2]) <= 16 for before, _ in pairs]
    assert sum(small) == 3
    assert [before["image"] == after["image"] for before, after in pairs] == small


def test_tfds_reads_a_copy_with_its_other_features(pictures):
    directory = prepare.prepare("pictures", pictures, shorter_side=16)
    builder = tfds.builder_from_directory(directory)
    assert builder.info.full_name == "pictures_shorter16/2.0.0"
    read = builder.as_data_source("train")
    assert sorted(example["file_name"] for example in read) == [
        f"{index}.img".encode() for index in range(6)
    ]
    assert all(min(example["image"].shape[:2]) <= 16 for example in read)


def test_a_picture_is_resized_as_pillow_does_and_barely_compressed(photograph):
    picture = photograph(300, 200)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    small = shrink.smaller_picture(file.getvalue(), 64)
    assert small.startswith(b"\xff\xd8\xff")
    expected = Image.fromarray(picture).resize((64, 96), Image.Resampling.LANCZOS)
    error = decode(small).astype(float) - np.asarray(expected)
    assert np.sqrt(np.mean(error**2)) < 4


def test_a_config_and_the_default_one_stay(data_dir, digits, tmp_path):
    for config in ("160px", "full"):
        place = tmp_path / "imagenette" / config / "1.0.0"
        shutil.copytree(os.path.join(data_dir, "digits", "1.0.0"), place)
    (tmp_path / "imagenette" / ".config").mkdir()
    (tmp_path / "imagenette" / ".config" / "metadata.json").write_text(
        '{"default_config_name": "full"}'
    )
    for dataset in ("imagenette", "imagenette/160px"):
        prepare.prepare(dataset, str(tmp_path), shorter_side=4)
        config = dataset.partition("/")[2] or "full"
        assert (tmp_path / "imagenette_shorter4" / config / "1.0.0").is_dir()
    copy = datasets.load("imagenette_shorter4", str(tmp_path)).source("test")
    assert decode(copy[0]["image"]).shape == (4, 4, 3)


def test_a_strip_that_is_too_long_for_jpeg_is_reduced_too():
    strip = np.zeros((8, 140_000, 3), np.uint8)
    strip[:, ::2] = 100
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "PNG")
    assert decode(shrink.smaller_picture(file.getvalue(), 4)).shape == (4, 70_000, 3)


def test_a_stopped_copy_is_taken_up_again(pictures, monkeypatch):
    seen = []

    def stop_at_the_seventh(data, describe, max_pixels):
        seen.append(data)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return decode(data, describe, max_pixels)

    monkeypatch.setattr(shrink, "decode", stop_at_the_seventh)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare("pictures", pictures, shorter_side=16)
    assert prepared.find_directory(prepared.parse("pictures_shorter16"), Path(pictures)) is None
    staging = Path(pictures, "pictures_shorter16", "incomplete.2.0.0")
    (staging / "pictures_shorter16-train.array_record-00005-of-00009").write_bytes(b"stale")
    directory = prepare.prepare("pictures", pictures, shorter_side=16)
    assert len(seen) < 9 + 7, "the finished file was written again"
    assert len(examples("pictures_shorter16", pictures)) == 6
    assert [path.name for path in directory.parent.iterdir()] == ["2.0.0"]
    assert len(list(directory.glob("*.array_record*"))) == 2


def test_a_copy_of_an_older_original_is_not_taken_up(pictures):
    name = "pictures_shorter16-train.array_record-00000-of-00001"
    staging = Path(pictures, "pictures_shorter16", "incomplete.2.0.0")
    staging.mkdir(parents=True)
    (staging / name).write_bytes(b"of an older original")
    os.utime(staging / name, (0, 0))
    prepare.prepare("pictures", pictures, shorter_side=16)
    assert len(examples("pictures_shorter16", pictures)) == 6


@pytest.mark.parametrize(
    ("dataset", "shorter_side", "sentence"),
    [
        ("folder:/somewhere", 16, "smaller copies are made of prepared datasets"),
        ("digits", 0, "--shorter_side=0 is no size"),
    ],
)
def test_what_cannot_be_copied_is_one_sentence(tmp_path, dataset, shorter_side, sentence):
    with pytest.raises(DataError, match=sentence):
        prepare.prepare(dataset, str(tmp_path), shorter_side=shorter_side)


def test_a_copy_that_is_missing_gets_its_command(tmp_path):
    with pytest.raises(
        DataError, match="--dataset=imagenette/160px --shorter_side=128 --data_dir="
    ):
        datasets.load("imagenette_shorter128/160px", str(tmp_path))
