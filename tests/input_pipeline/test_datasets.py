"""Datasets by name."""

import collections

import pytest

from input_pipeline import DataError, datasets
from input_pipeline.decoding import decode


def test_digits_have_the_announced_splits(digits):
    assert digits.split_sizes == {"train": 1257, "validation": 180, "test": 360}
    assert digits.class_names == tuple("0123456789")


def test_digits_splits_hold_each_scan_once_and_each_class_in_proportion(digits):
    from sklearn.datasets import load_digits

    scans = load_digits()
    counts = collections.Counter()
    for split, size in digits.split_sizes.items():
        source = digits.source(split)
        labels = collections.Counter(source[i]["label"] for i in range(len(source)))
        for label, count in labels.items():
            assert abs(count - size * (scans.target == label).mean()) <= 1
        counts.update(
            (decode(source[i]["image"])[:, :, 0].tobytes(), source[i]["label"])
            for i in range(len(source))
        )
    expected = collections.Counter(
        ((picture * 255 / 16).round().astype("uint8").tobytes(), label)
        for picture, label in zip(scans.images, scans.target, strict=True)
    )
    assert counts == expected


def test_the_halves_of_the_classes_part_each_split_and_number_their_labels_from_0(digits, data_dir):
    low, high = (datasets.load(name, data_dir) for name in ("digits_low", "digits_high"))
    assert low.class_names == tuple("01234")
    assert high.class_names == tuple("56789")
    for split, size in digits.split_sizes.items():
        assert low.num_examples(split) + high.num_examples(split) == size
    whole, half = digits.source("test"), high.source("test")
    label_of = {whole[i]["image"]: whole[i]["label"] for i in range(len(whole))}
    for i in range(len(half)):
        assert half[i]["label"] == label_of[half[i]["image"]] - 5


def test_split_slices_part_the_split(digits):
    whole, head, tail = (digits.source(s) for s in ("train", "train[:90%]", "train[90%:]"))
    assert len(head) + len(tail) == len(whole)
    assert digits.num_examples("train[90%:]+test") == len(tail) + 360
    assert tail[0] == whole[len(head)]


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ("trian", "did you mean train"),
        ("val", "test, train, validation"),
        ("train[:0]", "is empty"),
        ("train[x]", "train\\[:90%\\]"),
    ],
)
def test_wrong_split_is_one_sentence(digits, split, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        digits.source(split)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("digit", "did you mean digits"),
        ("cifar10", "python -m input_pipeline.prepare --dataset=cifar10"),
        ("no such", "is not a name"),
    ],
)
def test_wrong_dataset_is_one_sentence(data_dir, name, sentence):
    with pytest.raises(DataError, match=sentence):
        datasets.load(name, data_dir)


def test_synthetic_is_the_same_each_time():
    dataset = datasets.load("synthetic")
    first, second = (dataset.source("train[10:14]") for _ in range(2))
    assert [first[i] for i in range(4)] == [second[i] for i in range(4)]
    assert dataset.num_classes == 1000
    assert decode(first[0]["image"]).shape == (375, 500, 3)
