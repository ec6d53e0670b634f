"""TFDS's own imagenet2012 builder, run on small archives of the layout that ImageNet has."""

import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline import datasets, loader, prepare

pytestmark = [
    pytest.mark.prepare,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None,
        reason="TensorFlow is not installed (pip install -e '.[prepare]')",
    ),
]

SYNSETS = ("n01440764", "n01443537", "n15075141")  # labels 0, 1 and 999
LABELS = (0, 1, 999)
PER_CLASS = 4


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def jpeg(red, green):
    """Returns a picture whose color says which one it is."""
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (red, green, 128)).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory):
    """The training archive holds one archive a class, the validation one bare pictures."""
    directory = tmp_path_factory.mktemp("manual")
    with tarfile.open(directory / "ILSVRC2012_img_train.tar", "w") as train:
        for number, synset in enumerate(SYNSETS):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as pictures:
                for index in range(PER_CLASS):
                    add(pictures, f"{synset}_{index}.JPEG", jpeg(100 * number, 60 * index))
            add(train, f"{synset}.tar", inner.getvalue())
    with tarfile.open(directory / "ILSVRC2012_img_val.tar", "w") as validation:
        for index in range(5):
            add(validation, f"ILSVRC2012_val_{index + 1:08d}.JPEG", jpeg(50 * index, 0))
    return str(directory)


@pytest.fixture(scope="module")
def imagenet_dir(manual_dir, tmp_path_factory):
    data_dir = str(tmp_path_factory.mktemp("data"))
    prepare.prepare("imagenet2012", data_dir, manual_dir)
    return data_dir


def read(data_dir, split, dataset="imagenet2012"):
    loaded = datasets.load(dataset, data_dir)
    size = loaded.num_examples(split)
    (batch,) = loader.eval_batches(loaded, split, image_size=32, batch_size=size)
    return batch["image"][:, 16, 16, :].astype(int), batch["label"]


def test_training_pictures_have_the_labels_of_their_archives(imagenet_dir):
    colors, labels = read(imagenet_dir, "train")
    assert len(labels) == len(SYNSETS) * PER_CLASS
    numbers, indices = np.rint(colors[:, 0] / 100), np.rint(colors[:, 1] / 60)
    np.testing.assert_array_equal(labels, np.array(LABELS)[numbers.astype(int)])
    assert len(set(zip(numbers, indices, strict=True))) == len(labels)


def test_validation_pictures_have_the_labels_of_the_development_kit(imagenet_dir):
    import tensorflow_datasets as tfds

    colors, labels = read(imagenet_dir, "validation")
    order = np.argsort(colors[:, 0])
    names = datasets.load("imagenet2012", imagenet_dir).class_names
    kit = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text().split()
    assert [names[label] for label in labels[order]] == kit[:5]
    assert kit[:3] == ["n01751748", "n09193705", "n02105855"]


def test_a_smaller_copy_and_reading_import_no_tensorflow(imagenet_dir):
    script = (
        "import sys\n"
        "from input_pipeline import datasets, loader, prepare, verify\n"
        f"data_dir = {imagenet_dir!r}\n"
        "prepare.prepare('imagenet2012', data_dir, shorter_side=24)\n"
        "assert not verify.verify('imagenet2012_shorter24', data_dir).bad\n"
        "dataset = datasets.load('imagenet2012_shorter24', data_dir)\n"
        "assert dataset.split_sizes == {'train': 12, 'validation': 5}\n"
        "next(loader.eval_batches(dataset, 'train', image_size=8, batch_size=4))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    before, after = (
        read(imagenet_dir, "train", dataset)
        for dataset in ("imagenet2012", "imagenet2012_shorter24")
    )
    np.testing.assert_allclose(before[0], after[0], atol=4)
    np.testing.assert_array_equal(before[1], after[1])


def test_the_command_says_what_it_wrote(manual_dir, tmp_path):
    command = [sys.executable, "-m", "input_pipeline.prepare", "--dataset=imagenet2012"]
    done = subprocess.run(
        [*command, f"--manual_dir={manual_dir}", f"--data_dir={tmp_path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    directory = tmp_path / "imagenet2012" / "5.1.0"
    sizes = "train 12, validation 5"
    assert done.stdout == f"imagenet2012/5.1.0 is prepared in {directory} ({sizes})\n"
    assert done.stderr.startswith(f"preparing imagenet2012 in {directory}\n")
    assert "Generating" not in done.stderr, "a log file is no place for progress bars"


def test_a_cut_archive_is_one_sentence_with_status_2(manual_dir, tmp_path):
    whole = Path(manual_dir, "ILSVRC2012_img_val.tar").read_bytes()
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(whole[: len(whole) // 2 + 100])
    command = [sys.executable, "-m", "input_pipeline.prepare", "--dataset=imagenet2012"]
    done = subprocess.run(
        [*command, f"--manual_dir={tmp_path}", f"--data_dir={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "TFDS could not prepare 'imagenet2012'" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("imagenet2012/*"))
