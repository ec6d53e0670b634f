"""The same run on one device, on several, and on two processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUN = (
    "benchmarks.train",
    "--config=benchmarks/configs/digits.py",
    "--plugins=tiny_model",
    "--config.model=tiny",
    "--config.budget.amount=384",
    "--config.log_every_steps=1",
)


def devices(count):
    return f"--xla_force_host_platform_device_count={count}"


def finish(process):
    """Waits for a process that is to end well."""
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told[-3000:]


def await_file(path, pattern=None):
    """Waits until the file holds something, or the folder a file of such a name."""
    deadline = time.monotonic() + 120
    while not (list(path.glob(pattern)) if pattern else path.exists() and path.stat().st_size > 0):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def losses(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").open()]
    return [line["train/loss"] for line in lines if "train/loss" in line]


def record(directory):
    return json.loads((directory / "record.json").read_text())


@pytest.fixture(scope="module")
def start(data_dir):
    """Starts `python -m ...` with the tests' models registered and does not wait for it."""
    environment = os.environ | {
        "TFDS_DATA_DIR": data_dir,
        "JAX_PLATFORMS": "cpu",
    }

    def begin(*arguments, **more):
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment | more,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture(scope="module")
def one(start, tmp_path_factory):
    """The folder of the run on one device."""
    folder = tmp_path_factory.mktemp("one")
    finish(start(*RUN, f"--workdir={folder}", XLA_FLAGS=devices(1)))
    return folder


@pytest.mark.parametrize("count", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_several_devices_give_the_losses_of_one(count, one, start, tmp_path):
    finish(start(*RUN, f"--workdir={tmp_path}", XLA_FLAGS=devices(count)))
    assert record(tmp_path)["hardware"]["device_count"] == count
    assert record(tmp_path)["metrics"]["test"]["examples"] == 360
    assert len(losses(one)) == 12
    assert losses(tmp_path) == pytest.approx(losses(one), rel=1e-5)


@pytest.fixture
def start_two(start, tmp_path):
    """Starts two processes of one run in `tmp_path`, the second with a clock that is three times as fast."""
    started = []

    def begin(*arguments):
        with socket.socket() as server:
            server.bind(("localhost", 0))
            address = f"localhost:{server.getsockname()[1]}"
        cluster = (f"--workdir={tmp_path}", f"--coordinator={address}", "--processes=2")
        hosts = [
            start(
                *(*RUN, *arguments, *cluster, f"--process={index}"),
                XLA_FLAGS=devices(1),
                CLOCK_RATE=str(rate),
            )
            for index, rate in enumerate((1, 3))
        ]
        started.extend(hosts)
        return hosts

    yield begin
    for host in started:
        host.kill()


def end(hosts, status):
    """Waits for processes that are all to end with this exit status; returns what they told."""
    told = [host.communicate(timeout=300)[1] for host in hosts]
    assert [host.returncode for host in hosts] == [status] * len(hosts), told
    return told


@pytest.mark.parametrize("cache", ["none", pytest.param("device", marks=pytest.mark.slow)])
def test_two_processes_give_the_losses_of_one(cache, one, start_two, tmp_path):
    end(start_two(f"--config.cache={cache}"), 0)
    assert record(tmp_path)["hardware"]["process_count"] == 2
    assert record(tmp_path)["metrics"]["test"]["examples"] == 360
    assert losses(tmp_path) == pytest.approx(losses(one), rel=1e-5)


@pytest.mark.slow
def test_two_processes_share_a_budget_of_seconds(start_two, tmp_path):
    end(start_two("--config.budget.kind=seconds", "--config.budget.amount=2"), 0)
    spent = record(tmp_path)["budget"]
    assert record(tmp_path)["status"] == "completed"
    a_step = spent["train_seconds_spent"] / spent["steps"]
    # By the clock of the first process; that of the second runs three times as fast.
    assert 2 <= spent["train_seconds_spent"] < 2 + 10 * a_step


@pytest.mark.slow
def test_two_processes_of_which_one_is_told_to_stop_save_together_and_go_on(start_two, tmp_path):
    run = ("--config.budget.amount=9600",)
    hosts = start_two(*run)
    await_file(tmp_path / "metrics.jsonl")
    hosts[1].send_signal(signal.SIGTERM)
    for told in end(hosts, 75):
        assert "run the same command again to go on" in told
    before = losses(tmp_path)
    assert 0 < len(before) < 300
    end(start_two(*run), 0)
    assert record(tmp_path)["status"] == "completed"
    assert losses(tmp_path)[: len(before)] == before
    assert len(losses(tmp_path)) == 300


@pytest.mark.parametrize(("first", "then"), [pytest.param(1, 4, marks=pytest.mark.slow), (4, 1)])
def test_a_run_goes_on_with_another_number_of_devices(first, then, start, tmp_path):
    run = [*RUN, "--config.budget.amount=4800", "--config.checkpoint_every_steps=20"]
    stopped = start(*run, f"--workdir={tmp_path}", XLA_FLAGS=devices(first))
    await_file(tmp_path / "checkpoint_digests", "*.json")
    stopped.send_signal(signal.SIGTERM)
    told = stopped.communicate(timeout=120)[1]
    assert stopped.returncode == 75, told
    assert "run the same command again to go on" in told
    before = losses(tmp_path)
    assert 0 < len(before) < 150
    finish(start(*run, f"--workdir={tmp_path}", XLA_FLAGS=devices(then)))
    assert record(tmp_path)["status"] == "completed"
    assert losses(tmp_path)[: len(before)] == before
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open()]
    assert steps == sorted(steps)


SCOPES = """
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
import models
from benchmarks.machine import mesh as mesh_lib
from benchmarks.steps.pure_model import split_module
from benchmarks.steps.train_step import Settings, create_state, make_train_step
from isobudget import plugins
plugins.load(["tiny_model"])
model = models.create("tiny", 10, rngs=nnx.Rngs(params=1))
model.dropout.rate = 0.0
pure, params, batch_stats = split_module(model, (0.5,) * 3, (0.25,) * 3)
optimizer = optax.with_extra_args_support(optax.sgd(1.0))
state = create_state(params, batch_stats, optimizer)
rng = np.random.default_rng(0)
batch = {"image": rng.integers(0, 256, (16, 32, 32, 3), np.uint8),
         "label": rng.integers(0, 10, 16, np.int32), "mask": np.ones(16, np.float32)}
mesh = mesh_lib.create_mesh()
def step(mesh=None):
    return make_train_step(pure, optimizer, Settings(lambda progress: 1.0, mesh=mesh))
after, metrics = jax.jit(step(mesh))(mesh_lib.replicate(state, mesh), mesh_lib.place_batch(batch, mesh), 0.0)
alone = jax.jit(step())
parts = [alone(state, {k: v[i * 4:(i + 1) * 4] for k, v in batch.items()}, 0.0) for i in range(4)]
mean = jax.tree.map(lambda *each: sum(each) / 4, *[part[0] for part in parts])
np.testing.assert_allclose(metrics["loss"], np.mean([m["loss"] for _, m in parts]), rtol=1e-5)
for name in ("params", "batch_stats"):
    for ours, theirs in zip(jax.tree.leaves(after[name]), jax.tree.leaves(mean[name])):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
whole = alone(state, batch, 0.0)[1]["loss"]
assert abs(float(whole) - float(metrics["loss"])) > 1e-4
print("statistics of each device")
"""


def test_batch_norm_of_scope_device_takes_each_devices_own_statistics(start, tmp_path):
    script = tmp_path / "scopes.py"
    script.write_text(SCOPES)
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"XLA_FLAGS": devices(4)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "statistics of each device", done.stderr[-3000:]


def test_flags_that_name_no_cluster_are_one_sentence(command_here):
    ended = command_here(*RUN, "--workdir=nowhere", "--processes=2")
    assert ended.returncode == 2
    assert "--coordinator, --processes and --process go together" in ended.stderr
