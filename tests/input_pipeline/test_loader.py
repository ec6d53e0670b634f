"""Batches: order, resuming, sharding, padding."""

import itertools
import subprocess
import sys

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from input_pipeline import DataError, loader
from input_pipeline.datasets import Dataset

TRAIN = {"image_size": 8, "batch_size": 12, "num_steps": 10, "seed": 3, "augmentation": "shift"}


class NumberedSource:
    """Examples whose picture and label are their position, decoded for free."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return {"image": b"P6 1 1 255\n" + bytes([index % 256] * 3), "label": index}

    def describe(self, index):
        return f"number {index}"


def numbered(size):
    return Dataset("numbered", "1.0.0", ("one",), {"train": size}, lambda _: NumberedSource(size))


def labels_of(batches):
    return np.concatenate([batch["label"][batch["mask"] == 1] for batch in batches])


def assert_same(left, right):
    for one, other in itertools.zip_longest(left, right):
        assert one.keys() == other.keys() == {"image", "label", "mask"}
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_a_batch_has_the_announced_shapes_and_types(digits):
    batches = list(loader.train_batches(digits, "train", **TRAIN))
    assert len(batches) == 10
    for batch in batches:
        assert (batch["image"].shape, batch["image"].dtype) == ((12, 8, 8, 3), np.uint8)
        assert (batch["label"].shape, batch["label"].dtype) == ((12,), np.int32)
        assert (batch["mask"].dtype, batch["mask"].tolist()) == (np.float32, [1.0] * 12)


@settings(deadline=None, max_examples=25)
@given(size=st.integers(1, 40), batch_size=st.integers(1, 24), epochs=st.integers(1, 4))
def test_every_epoch_trains_on_each_example_once(size, batch_size, epochs):
    steps = -(-size * epochs // batch_size)
    batches = loader.train_batches(
        numbered(size), "train", image_size=1, batch_size=batch_size, num_steps=steps, seed=0
    )
    labels = labels_of(batches)
    for epoch in range(epochs):
        assert sorted(labels[epoch * size : (epoch + 1) * size]) == list(range(size))


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 60), batch_size=st.integers(1, 24), shard_count=st.integers(1, 5))
def test_evaluation_counts_each_example_once(size, batch_size, shard_count):
    shards = [
        list(
            loader.eval_batches(
                numbered(size),
                "train",
                image_size=1,
                batch_size=batch_size,
                shard_index=index,
                shard_count=shard_count,
            )
        )
        for index in range(shard_count)
    ]
    assert sorted(labels_of(itertools.chain(*shards))) == list(range(size))
    assert len({len(shard) for shard in shards}) == 1
    assert {len(batch["label"]) for shard in shards for batch in shard} == {
        -(-batch_size // shard_count)
    }


def test_epochs_differ_in_order():
    batches = loader.train_batches(
        numbered(50), "train", image_size=1, batch_size=50, num_steps=3, seed=0
    )
    orders = [tuple(batch["label"]) for batch in batches]
    assert len({*orders, tuple(range(50))}) == 4


def test_epochs_differ_in_augmentation(digits):
    pictures = {}
    for batch in loader.train_batches(digits, "train[:12]", **TRAIN):
        order = np.lexsort((batch["label"],))
        pictures[batch["image"][order].tobytes()] = True
    assert len(pictures) == 10


def test_seeds_do_not_share_epochs():
    def epochs(seed):
        return {tuple(loader.epoch_order(seed, epoch, 50)) for epoch in range(4)}

    assert len(set.union(*(epochs(seed) for seed in range(4)))) == 16


def test_order_is_pinned():
    assert loader.epoch_order(0, 0, 10).tolist() == ORDER_OF_SEED_0
    assert loader.derive_seed(0, "augmentation") != loader.derive_seed(0, "order")


ORDER_OF_SEED_0 = [7, 6, 8, 3, 0, 5, 1, 9, 4, 2]


@pytest.mark.parametrize("start_step", [1, 7, 10])
def test_resuming_is_exact(digits, start_step):
    whole = list(loader.train_batches(digits, "train", **TRAIN))
    rest = list(loader.train_batches(digits, "train", **TRAIN, start_step=start_step))
    assert_same(rest, whole[start_step:])


@pytest.mark.parametrize("shard_count", [2, 3])
def test_shards_together_make_the_batches_of_one_host(digits, shard_count):
    whole = list(loader.train_batches(digits, "train", **TRAIN))
    shards = [
        loader.train_batches(digits, "train", **TRAIN, shard_index=index, shard_count=shard_count)
        for index in range(shard_count)
    ]
    for batch, *parts in zip(whole, *shards, strict=True):
        for key, value in batch.items():
            together = np.stack([part[key] for part in parts], axis=1)
            np.testing.assert_array_equal(together.reshape(value.shape), value)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_worker_processes_change_nothing(digits, num_workers):
    here = loader.train_batches(digits, "train", **TRAIN, start_step=3)
    there = loader.train_batches(digits, "train", **TRAIN, start_step=3, num_workers=num_workers)
    assert_same((copy(batch) for batch in there), here)


def test_evaluation_by_worker_processes_changes_nothing(digits):
    options = {"image_size": 8, "batch_size": 100}
    here = loader.eval_batches(digits, "test", **options)
    there = loader.eval_batches(digits, "test", **options, num_workers=2)
    assert_same((copy(batch) for batch in there), here)


def copy(batch):
    return {key: np.array(value) for key, value in batch.items()}


def test_a_picture_that_cannot_be_decoded_is_named():
    class Broken(NumberedSource):
        def __getitem__(self, index):
            return {"image": b"junk" if index == 5 else b"P6 1 1 255\nabc", "label": 0}

    dataset = Dataset("broken", "1.0.0", ("one",), {"train": 8}, lambda _: Broken(8))
    with pytest.raises(DataError, match="number 5 is not a picture"):
        list(loader.eval_batches(dataset, "train", image_size=1, batch_size=4))


def test_worker_processes_end_when_their_parent_is_killed(data_dir, digits):
    # Waiting in the middle of the iteration, the parent cannot tell its workers anything.
    script = (
        "import multiprocessing, time\n"
        "from input_pipeline import datasets, loader\n"
        "if __name__ == '__main__':\n"
        f"    dataset = datasets.load('digits', {data_dir!r})\n"
        "    batches = loader.train_batches(dataset, 'train', image_size=8, batch_size=4,\n"
        "        num_steps=10**6, seed=0, num_workers=1)\n"
        "    next(batches)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([worker], timeout=20)[0] == [worker]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"augmentation": "shif"}, "did you mean shift"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": 7, "shard_count": 2}, "does not divide among 2 hosts, 8 would"),
        ({"start_step": 11}, "start_step 11"),
        ({"shard_index": 2, "shard_count": 2}, "shard_index 2"),
    ],
)
def test_numbers_that_do_not_fit_are_one_sentence(digits, change, sentence):
    with pytest.raises(DataError, match=sentence):
        loader.train_batches(digits, "train", **{**TRAIN, **change})
