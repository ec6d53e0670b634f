"""Batches: order, resuming, sharding, padding."""

import hashlib
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from input_pipeline import DataError, augmentation, datasets, loader
from input_pipeline import batches as batches_lib
from input_pipeline.datasets import Dataset

SHIFT = augmentation.create({"changes": ("shift",)})
TRAIN = {"image_size": 8, "batch_size": 12, "num_steps": 10, "seed": 3, "augmentation": SHIFT}


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
        return {tuple(batches_lib.epoch_order(seed, epoch, 50)) for epoch in range(4)}

    assert len(set.union(*(epochs(seed) for seed in range(4)))) == 16


def test_order_is_pinned():
    assert batches_lib.epoch_order(0, 0, 10).tolist() == ORDER_OF_SEED_0
    assert batches_lib.derive_seed(0, "augmentation") != batches_lib.derive_seed(0, "order")


ORDER_OF_SEED_0 = [7, 6, 8, 3, 0, 5, 1, 9, 4, 2]


@pytest.mark.parametrize("start_step", [1, 7, 10])
def test_resuming_is_exact(digits, start_step):
    whole = list(loader.train_batches(digits, "train", **TRAIN))
    rest = list(loader.train_batches(digits, "train", **TRAIN, start_step=start_step))
    assert_same(rest, whole[start_step:])


@pytest.mark.parametrize("shard_count", [2, 3, 4])
def test_shards_together_make_the_batches_of_one_host(digits, shard_count):
    whole = list(loader.train_batches(digits, "train", **TRAIN))
    shards = [
        loader.train_batches(digits, "train", **TRAIN, shard_index=index, shard_count=shard_count)
        for index in range(shard_count)
    ]
    for batch, *parts in zip(whole, *shards, strict=True):
        for key, value in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[key] for part in parts]), value)


@pytest.mark.parametrize(
    "num_workers",
    [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(4, marks=pytest.mark.slow)],
)
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


class PartlyBroken(NumberedSource):
    """Examples of which some are no pictures."""

    def __init__(self, size, broken):
        super().__init__(size)
        self.broken = broken

    def __getitem__(self, index):
        example = super().__getitem__(index)
        return example | ({"image": b"junk"} if index in self.broken else {})


def partly_broken(size, broken):
    source = PartlyBroken(size, broken)
    return Dataset("odd", "1.0.0", ("one",), {"train": size}, lambda _: source)


def test_an_example_that_cannot_be_read_is_replaced_by_the_next_and_told_once(capsys):
    batches = loader.train_batches(
        partly_broken(20, {4, 5, 19}),
        "train",
        image_size=1,
        batch_size=10,
        num_steps=6,
        seed=0,
        max_unreadable_fraction=0.15,
    )
    labels = labels_of(batches).reshape(3, 20)
    expected = sorted([*(set(range(20)) - {4, 5, 19}), 6, 6, 0])
    assert [sorted(epoch) for epoch in labels.tolist()] == [expected] * 3
    assert len(batches.faults) == 3
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert any("odd train, example 4: number 4 is not a picture" in line for line in told)


def test_worker_processes_tell_what_they_could_not_read(tmp_path, photograph, capsys):
    for number in range(8):
        path = tmp_path / "train" / "one" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(9, 9, number)).save(path)
    path.write_bytes(b"junk")
    options = {"image_size": 8, "batch_size": 4, "num_steps": 6, "seed": 0}
    options |= {"max_unreadable_fraction": 0.2}
    dataset = datasets.load(f"folder:{tmp_path}")
    here = loader.train_batches(dataset, "train", **options)
    there = loader.train_batches(dataset, "train", **options, num_workers=1)
    assert_same((copy(batch) for batch in there), here)
    assert len(there.faults) == len(here.faults) == 1
    assert capsys.readouterr().err.count("7.png is not a picture") == 2


def test_in_evaluation_what_cannot_be_read_does_not_count():
    batches = loader.eval_batches(
        partly_broken(10, {3}), "train", image_size=1, batch_size=4, max_unreadable_fraction=0.1
    )
    assert sorted(labels_of(batches)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert len(batches.faults) == 1


def test_too_many_that_cannot_be_read_are_an_error_that_names_one():
    with pytest.raises(DataError, match=r"1 of the 8 examples of odd train .* number 5 is not a p"):
        list(loader.eval_batches(partly_broken(8, {5}), "train", image_size=1, batch_size=4))
    options = {"image_size": 1, "batch_size": 4, "num_steps": 9, "seed": 0}
    with pytest.raises(DataError, match=r"more than max_unreadable_fraction 0\.2 allows"):
        list(
            loader.train_batches(
                partly_broken(10, {1, 2, 3}), "train", **options, max_unreadable_fraction=0.2
            )
        )


def test_repeats_take_each_example_so_often_in_a_row_augmented_anew(digits):
    repeated = augmentation.create({"changes": ("shift",), "repeats": 3})
    options = TRAIN | {"augmentation": repeated, "num_steps": 1}
    (batch,) = loader.train_batches(digits, "train", **options)
    (once,) = loader.train_batches(digits, "train", **(options | {"augmentation": SHIFT}))
    np.testing.assert_array_equal(batch["label"], np.repeat(once["label"][:4], 3))
    assert len({picture.tobytes() for picture in batch["image"]}) == 12


def test_ten_crops_come_for_each_example(digits):
    options = {"image_size": 8, "batch_size": 6, "crop_fraction": 0.8, "crops": 10}
    batch = next(loader.eval_batches(digits, "test", **options))
    assert batch["image"].shape == (6, 10, 8, 8, 3)
    np.testing.assert_array_equal(batch["image"][:, 5:], batch["image"][:, :5, :, ::-1])


def test_a_killed_worker_process_is_an_error_and_no_hang(digits):
    options = TRAIN | {"num_steps": 10**6, "num_workers": 1}
    batches = iter(loader.train_batches(digits, "train", **options))
    next(batches)
    (worker,) = [
        child
        for child in psutil.Process().children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline()) or "forkserver" in " ".join(child.cmdline())
    ][-1:]
    worker.kill()
    with pytest.raises(DataError, match="a worker process that prepares batches ended"):
        list(batches)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory is not seen as files here")
def test_a_killed_parent_leaves_no_worker_process_and_no_shared_memory(data_dir, digits, tmp_path):
    # Waiting in the middle of the iteration, the parent cannot tell its workers anything. A file, so that its workers
    # import it and name their memory as it does.
    prefix = f"i{os.getpid() % 10**6}_"  # a name has 14 letters at most
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from multiprocessing import shared_memory\n"
        f"shared_memory._SHM_NAME_PREFIX = '/{prefix}'\n"
        "from input_pipeline import datasets, loader\n"
        "if __name__ == '__main__':\n"
        f"    dataset = datasets.load('digits', {data_dir!r})\n"
        "    batches = loader.train_batches(dataset, 'train', image_size=64, batch_size=32,\n"
        "        num_steps=10**6, seed=0, num_workers=1)\n"
        "    next(batches)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )

    def shared_memory():
        return list(Path("/dev/shm").glob(f"{prefix}*"))

    parent = subprocess.Popen(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    worker = psutil.Process(int(parent.stdout.readline()))
    assert shared_memory()
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([worker], timeout=20)[0] == [worker]
    deadline = time.monotonic() + 20
    while shared_memory() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not shared_memory()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": 7, "shard_count": 2}, "does not divide among 2 hosts, 8 would"),
        ({"start_step": 11}, "start_step 11"),
        ({"shard_index": 2, "shard_count": 2}, "shard_index 2"),
    ],
)
def test_numbers_that_do_not_fit_are_one_sentence(digits, change, sentence):
    with pytest.raises(DataError, match=sentence):
        loader.train_batches(digits, "train", **{**TRAIN, **change})


@pytest.mark.slow
def test_memory_does_not_grow_with_the_dataset_or_the_epoch():
    """A million records and into a second epoch: the order is what is kept, 8 bytes a record of two epochs."""
    size, batch_size = 10**6, 500
    steps = int(1.3 * size / batch_size)
    batches = loader.train_batches(
        numbered(size), "train", image_size=1, batch_size=batch_size, num_steps=steps, seed=0
    )
    memory = []
    for step, _ in enumerate(batches):
        if step % 100 == 99:
            memory.append(psutil.Process().memory_info().rss)
    settled = len(memory) // 10
    assert len(memory) == steps // 100
    # Another epoch's order, and what sorting it takes.
    assert max(memory[settled:]) - memory[settled] < 64 * 2**20


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_new_process_resumes_in_the_middle_of_an_epoch(num_workers, data_dir, digits):
    script = (
        "import hashlib\n"
        "from input_pipeline import augmentation, datasets, loader\n"
        "if __name__ == '__main__':\n"
        f"    dataset = datasets.load('digits', {data_dir!r})\n"
        "    shift = augmentation.create({'changes': ('shift',)})\n"
        "    batches = loader.train_batches(dataset, 'train', image_size=8, batch_size=12,\n"
        "        num_steps=10, seed=3, augmentation=shift, start_step=4,\n"
        f"        num_workers={num_workers})\n"
        "    digest = hashlib.sha256()\n"
        "    for batch in batches:\n"
        "        digest.update(batch['image'].tobytes() + batch['label'].tobytes())\n"
        "    print(digest.hexdigest())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    digest = hashlib.sha256()
    for batch in list(loader.train_batches(digits, "train", **TRAIN))[4:]:
        digest.update(batch["image"].tobytes() + batch["label"].tobytes())
    assert ended.stdout.strip() == digest.hexdigest()
