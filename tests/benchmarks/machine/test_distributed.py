"""Several real processes, joined by `jax.distributed`, read their shards of one global batch."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from input_pipeline import augmentation, datasets, loader

OPTIONS = {"image_size": 8, "batch_size": 12, "num_steps": 7, "seed": 3}
CHANGES = {"changes": ("shift",)}

# What each process runs: the global batches' labels and a sum over pixels weighted by place, after a step of resuming.
HOST = """
import json, sys
import jax
import jax.numpy as jnp
process, processes, address, data_dir = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
jax.distributed.initialize(address, processes, process, heartbeat_timeout_seconds=10)
from benchmarks.machine.mesh import create_mesh, place_batch
from input_pipeline import augmentation, datasets, loader
mesh = create_mesh()
dataset = datasets.load("digits", data_dir)
shard = {"shard_index": jax.process_index(), "shard_count": jax.process_count()}
options = json.loads(sys.argv[5]) | {"augmentation": augmentation.create(json.loads(sys.argv[6]))}
train = loader.train_batches(dataset, "train", start_step=2, **options, **shard)
test = loader.eval_batches(dataset, "test", image_size=8, batch_size=50, **shard)

@jax.jit
def digest(batch):
    weights = jnp.arange(batch["image"].size, dtype=jnp.uint32).reshape(batch["image"].shape)
    return jnp.sum(weights * batch["image"]), jnp.sum(batch["label"] * jnp.arange(len(batch["label"])))

answers = [[int(each) for each in digest(place_batch(batch, mesh))] for batch in train]
counted = jax.jit(lambda batch: (jnp.sum(batch["mask"]), jnp.sum(batch["label"] * batch["mask"])))
sums = [counted(place_batch(batch, mesh)) for batch in test]
totals = [sum(float(each[index]) for each in sums) for index in range(2)]
if process == 0:
    print(json.dumps({"train": answers, "test": totals, "processes": jax.process_count()}))
"""


def free_address() -> str:
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return f"localhost:{server.getsockname()[1]}"


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_together_see_what_one_sees(processes, data_dir):
    address = free_address()
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "",
    }
    datasets.load("digits", data_dir)  # prepared once, before they start
    hosts = [
        subprocess.Popen(
            [
                *(sys.executable, "-c", HOST, str(index), str(processes), address, data_dir),
                *(json.dumps(OPTIONS), json.dumps(CHANGES)),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(processes)
    ]
    outputs = [host.communicate(timeout=120) for host in hosts]
    assert [host.returncode for host in hosts] == [0] * processes, outputs[0][1][-2000:]
    report = json.loads(outputs[0][0].splitlines()[-1])

    dataset = datasets.load("digits", data_dir)
    options = OPTIONS | {"augmentation": augmentation.create(CHANGES)}
    whole = list(loader.train_batches(dataset, "train", start_step=2, **options))
    expected = []
    for batch in whole:
        weights = np.arange(batch["image"].size, dtype=np.uint32).reshape(batch["image"].shape)
        pixels = np.sum(weights * batch["image"], dtype=np.uint32)
        expected.append([int(pixels), int(np.sum(batch["label"] * np.arange(12)))])
    assert report["processes"] == processes
    assert report["train"] == expected
    labels = [
        batch["label"] @ batch["mask"]
        for batch in loader.eval_batches(dataset, "test", image_size=8, batch_size=50)
    ]
    assert report["test"] == [360, sum(labels)]
