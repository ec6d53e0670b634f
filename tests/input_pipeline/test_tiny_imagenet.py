"""Tiny-ImageNet as people have it: the archive, the unpacked folder, and folders sorted by class."""

import contextlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from input_pipeline import DataError, datasets, loader
from input_pipeline.verify import verify

# Written out of order: labels are numbered by synset.
_WORDS = {
    "n02000003": "crane",
    "n02000001": "goldfish, Carassius auratus",
    "n02000002": "crane, demoiselle",
    "n09999999": "not a class here",
}
_CLASSES = ("n02000001", "n02000002", "n02000003")
_NAMES = ("goldfish", "demoiselle", "crane (n02000003)")


def _save(path, brightness):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), (brightness,) * 3).save(path, format="JPEG")


@pytest.fixture
def stanford(tmp_path):
    """The archive unpacked: three classes of two pictures, one of each to validate with, two without labels."""
    root = tmp_path / "tiny-imagenet-200"
    lines = []
    for label, synset in enumerate(_CLASSES):
        for number in range(2):
            _save(
                root / "train" / synset / "images" / f"{synset}_{number}.JPEG",
                60 * label + 20 * number,
            )
        (root / "train" / synset / f"{synset}_boxes.txt").write_text(
            f"{synset}_0.JPEG\t0\t0\t5\t5\n"
        )
        _save(root / "val" / "images" / f"val_{label}.JPEG", 60 * label + 10)
        lines.append(f"val_{label}.JPEG\t{synset}\t0\t0\t5\t5\n")
    (root / "val" / "val_annotations.txt").write_text("".join(reversed(lines)))
    for number in range(2):
        _save(root / "test" / "images" / f"test_{number}.JPEG", 250)
    (root / "wnids.txt").write_text("\n".join(reversed(_CLASSES)))
    (root / "words.txt").write_text("".join(f"{key}\t{words}\n" for key, words in _WORDS.items()))
    datasets._say_once.cache_clear()
    return root


def _zipped(root, method=zipfile.ZIP_DEFLATED):
    path = root.parent / "tiny.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root.parent))
        archive.writestr("__MACOSX/tiny-imagenet-200/train/n02000001/images/._0.JPEG", b"")
    return path


def _by_class(root):
    """Returns a copy in folders of classes, as `folder:` reads it."""
    copy = root.parent / "by_class"
    for synset in _CLASSES:
        shutil.copytree(root / "train" / synset / "images", copy / "train" / synset)
    for label, synset in enumerate(_CLASSES):
        place = copy / "validation" / synset
        place.mkdir(parents=True)
        shutil.copy(root / "val" / "images" / f"val_{label}.JPEG", place)
    shutil.copy(root / "words.txt", copy / "labels.tsv")
    return copy


def _examples(dataset, split):
    source = dataset.source(split)
    return [(source[index]["image"], source[index]["label"]) for index in range(len(source))]


def test_the_unpacked_folder_is_a_dataset(stanford, capsys):
    dataset = datasets.load(f"tiny_imagenet:{stanford}")
    assert dataset.name == "tiny_imagenet_3"  # no path of this machine
    assert dataset.class_names == _NAMES
    assert dataset.split_sizes == {"train": 6, "validation": 3}
    for split in ("train", "val"):
        for encoded, label in _examples(dataset, split):
            brightness = np.asarray(Image.open(io.BytesIO(encoded))).mean()
            assert brightness // 60 == label
    sentence = "passed over the 2 pictures of test, which have no labels"
    assert capsys.readouterr().err == f"tiny_imagenet:{stanford}: {sentence}\n"


def test_two_hundred_classes_need_no_number_in_the_name(tmp_path):
    for number in range(200):
        _save(tmp_path / "train" / f"n{number:08}" / "images" / "0.JPEG", number)
    assert datasets.load(f"tiny_imagenet:{tmp_path}").name == "tiny_imagenet"
    smaller = datasets.load(f"tiny_imagenet_100:{tmp_path}")
    assert smaller.name == "tiny_imagenet_100"
    assert smaller.class_names == tuple(f"n{number:08}" for number in range(100))
    assert "classes are called by their synsets" in smaller.passed_over


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_layout_is_the_same_dataset(stanford, method):
    annotated = datasets.load(f"tiny_imagenet:{stanford}")
    by_class = _by_class(stanford)
    others = [
        datasets.load(f"tiny_imagenet:{_zipped(stanford, method)}"),
        datasets.load(f"tiny_imagenet:{stanford.parent}"),
        datasets.load(f"tiny_imagenet:{by_class}"),
        datasets.load(f"folder:{by_class}"),
    ]
    for split in ("train", "train[:50%]", "validation"):
        expected = _examples(annotated, split)
        assert all(_examples(other, split) == expected for other in others)
    for other in others:
        assert (other.class_names, other.version) == (annotated.class_names, annotated.version)
    assert [other.name for other in others[:3]] == ["tiny_imagenet_3"] * 3


def test_a_table_of_words_that_is_used_is_not_passed_over(stanford):
    by_class = _by_class(stanford)
    assert datasets.load(f"folder:{by_class}").passed_over == ""
    (by_class / "labels.tsv").write_text("n01234567\tnot a class here\n")
    dataset = datasets.load(f"folder:{by_class}")
    assert dataset.class_names == _CLASSES
    assert dataset.passed_over == "passed over 1 file (1 .tsv)"


def test_classes_that_are_no_synsets_keep_their_folders_names(tmp_path):
    _save(tmp_path / "train" / "cat" / "0.jpg", 0)
    (tmp_path / "labels.tsv").write_text("cat\t0\n")
    assert datasets.load(f"folder:{tmp_path}").class_names == ("cat",)


def test_validation_that_was_sorted_by_class_may_keep_its_annotations(stanford):
    before = datasets.load(f"tiny_imagenet:{stanford}")
    validation = _examples(before, "validation")
    for label, synset in enumerate(_CLASSES[:2]):
        (stanford / "val" / synset / "images").mkdir(parents=True)
        name = f"val_{label}.JPEG"
        (stanford / "val" / "images" / name).rename(stanford / "val" / synset / "images" / name)
    dataset = datasets.load(f"tiny_imagenet:{stanford}")
    assert dataset.version == before.version
    assert _examples(dataset, "validation") == validation
    (stanford / "val" / _CLASSES[0] / "images" / "val_0.JPEG").rename(
        stanford / "val" / _CLASSES[1] / "images" / "val_0.JPEG"
    )
    with pytest.raises(DataError, match=r"val_0.JPEG' is of class n02000001 by val_annotations"):
        datasets.load(f"tiny_imagenet:{stanford}")


def test_the_first_classes_are_a_smaller_task(stanford):
    whole = datasets.load(f"tiny_imagenet:{stanford}")
    smaller = datasets.load(f"tiny_imagenet_2:{stanford}")
    assert smaller.name == "tiny_imagenet_2"
    assert smaller.class_names == ("goldfish", "crane")
    assert smaller.split_sizes == {"train": 4, "validation": 2}
    assert smaller.version != whole.version
    kept = [example for example in _examples(whole, "train") if example[1] < 2]
    assert _examples(smaller, "train") == kept


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tiny_imagenet_4:{}", "has 3 classes, not the 4 of tiny_imagenet_4"),
        ("tiny_imagenet_0:{}", "asks for no classes"),
        ("tiny_imagenet_100:", "has no path; write tiny_imagenet_100:PATH"),
        ("tiny_imagenet:{}/nowhere", "does not exist"),
        ("tiny_imagenet:{}/val", "has no folder train"),
        ("tiny_imagenet:{}/words.txt", "is not a whole zip archive"),
        ("tiny_imagenets", "did you mean tiny_imagenet"),
    ],
)
def test_a_wrong_name_is_one_sentence(stanford, name, sentence):
    with pytest.raises(DataError, match=sentence) as raised:
        datasets.load(name.format(stanford))
    assert "\n" not in str(raised.value)


def test_without_a_path_it_is_looked_for_in_the_data_directory(stanford):
    data_dir = str(stanford.parent)
    in_folder = datasets.load("tiny_imagenet_2", data_dir)
    path = _zipped(stanford)
    shutil.rmtree(stanford)
    with pytest.raises(DataError, match=r"there is no tiny-imagenet-200 or .*: tiny_imagenet:PATH"):
        datasets.load("tiny_imagenet", data_dir)
    path.rename(stanford.parent / "tiny-imagenet-200.zip")
    assert datasets.load("tiny_imagenet_2", data_dir) == in_folder


def test_annotations_with_the_line_ends_of_windows_are_read(stanford):
    expected = datasets.load(f"tiny_imagenet:{stanford}")
    for name in ("val/val_annotations.txt", "words.txt", "wnids.txt"):
        path = stanford / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    dataset = datasets.load(f"tiny_imagenet:{stanford}")
    assert (dataset.version, dataset.class_names) == (expected.version, expected.class_names)
    assert _examples(dataset, "validation") == _examples(expected, "validation")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.split("\n", 1)[1], r"val_2\.JPEG' has no line in '.*annotations\.txt'"),
        (
            lambda text: text.replace("n02000002", "n08888888"),
            r"line 2 of .* gives val_1\.JPEG the class 'n08888888', which train does not have",
        ),
        (
            lambda text: text + "val_9.JPEG\tn02000001\nval_8.JPEG\tn02000001\n",
            r"names val_8\.JPEG and 1 more, but there is no such picture.*remove the lines",
        ),
        (lambda text: text + "val_9.JPEG\n", "line 4 of .* has to be a file, a tab and its synset"),
        (
            lambda text: text + "val_1.JPEG\tn02000001\n",
            r"line 4 of .* gives val_1\.JPEG another class than an earlier line",
        ),
        (lambda text: b"\xff\xfe\xff" + text.encode(), "cannot be read"),
    ],
)
def test_odd_annotations_are_one_sentence(stanford, change, sentence):
    path = stanford / "val" / "val_annotations.txt"
    changed = change(path.read_text())
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    for copy in (stanford, _zipped(stanford)):
        with pytest.raises(DataError, match=sentence) as raised:
            datasets.load(f"tiny_imagenet:{copy}")
        assert "\n" not in str(raised.value)


def test_pictures_that_no_one_labels_are_one_sentence(stanford):
    (stanford / "val" / "val_annotations.txt").unlink()
    with pytest.raises(DataError, match=r"val_0\.JPEG' has no label: there is no .*annotations"):
        datasets.load(f"tiny_imagenet:{stanford}")


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ((*_CLASSES, "n08888888"), "lists n08888888, which has no pictures in train"),
        (_CLASSES[:2], "does not list n02000003, which has pictures in train"),
    ],
)
def test_classes_that_are_not_the_listed_ones_are_one_sentence(stanford, listed, sentence):
    (stanford / "wnids.txt").write_text("\n".join(listed))
    with pytest.raises(DataError, match=sentence):
        datasets.load(f"tiny_imagenet:{stanford}")


def test_pictures_elsewhere_are_counted(stanford):
    _save(stanford / "train" / "stray.JPEG", 0)
    _save(stanford / "extra" / "stray.png", 0)
    (stanford / "train" / _CLASSES[0] / "notes.md").write_text("")
    passed_over = datasets.load(f"tiny_imagenet:{stanford}").passed_over
    assert passed_over.endswith("passed over 3 files (1 .jpeg, 1 .md, 1 .png)")


def test_an_archive_that_is_not_whole_is_one_sentence(stanford):
    path = _zipped(stanford)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"is not a whole zip archive .*; download it again"):
        datasets.load(f"tiny_imagenet:{path}")


def test_a_damaged_file_in_an_archive_is_named(stanford):
    path = _zipped(stanford)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("tiny-imagenet-200/val/images/val_1.JPEG")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 255
    path.write_bytes(content)
    report = verify(f"tiny_imagenet:{path}")
    (bad,) = report.bad
    assert bad.split == "validation"
    assert "tiny.zip/tiny-imagenet-200/val/images/val_1.JPEG is damaged" in bad.reason
    assert report.decoded == {"train": 6, "validation": 2}


def test_no_damage_of_an_archive_is_anything_but_a_sentence(stanford):
    """Any byte may be wrong: what cannot be read is a `DataError`, what can be is right."""
    path = _zipped(stanford)
    sound = path.read_bytes()
    sound_images = {
        image for image, _ in _examples(datasets.load(f"tiny_imagenet:{path}"), "train")
    }
    rng = np.random.default_rng(0)
    for position in rng.integers(len(sound), size=150):
        damaged = bytearray(sound)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            dataset = datasets.load_silently(f"tiny_imagenet:{path}")
            assert {image for image, _ in _examples(dataset, "train")} <= sound_images


def test_an_archive_that_needs_a_password_is_one_sentence(stanford):
    path = _zipped(stanford)
    content = path.read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    path.write_bytes(content[: directory + 8] + b"\x01" + content[directory + 9 :])
    with pytest.raises(DataError, match=r"is encrypted.*unpack the archive and name the folder"):
        datasets.load(f"tiny_imagenet:{path}")


def test_worker_processes_share_an_archive(stanford):
    dataset = datasets.load(f"tiny_imagenet:{_zipped(stanford)}")
    options = {"image_size": 6, "batch_size": 8}
    (here,) = loader.eval_batches(dataset, "validation", **options)
    (there,) = loader.eval_batches(dataset, "validation", **options, num_workers=2)
    np.testing.assert_array_equal(here["image"], np.array(there["image"]))
    source = dataset.source("train")
    assert pickle.loads(pickle.dumps(source))[0] == source[0]


def test_an_archive_that_went_away_is_named(stanford):
    path = _zipped(stanford)
    source = datasets.load(f"tiny_imagenet:{path}").source("train")
    path.unlink()
    with pytest.raises(DataError, match=r"tiny\.zip' cannot be read \(No such file"):
        source[0]


def test_it_needs_neither_preparation_nor_tfds_data(stanford):
    finished = subprocess.run(
        [sys.executable, "-m", "input_pipeline.prepare", f"--dataset=tiny_imagenet:{stanford}"],
        capture_output=True,
        text=True,
        env=os.environ | {"TFDS_DATA_DIR": str(stanford / "nowhere")},
    )
    assert finished.returncode == 2
    assert "needs no preparation" in finished.stderr
