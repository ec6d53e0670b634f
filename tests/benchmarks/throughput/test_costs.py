"""What the time of a step goes to."""

import collections
import csv

import jax
import pytest

from benchmarks.throughput import costs


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("jit(step)/jvp(convolution)/dot_general", ("forward", "convolution")),
        ("jit(step)/transpose(jvp(batch_norm))/mul", ("backward", "batch norm")),
        ("jit(step)/jvp(batch_norm)/relu/max", ("forward", "relu")),
        ("jit(step)/jvp(convolution/jit(_by_platform))/add", ("forward", "convolution")),
        ("jit(step)/jvp()/log_softmax/reduce_sum", ("forward", "reduce sum")),
        ("jit(step)/optimizer/sqrt", ("step", "optimizer")),
        ("", ("step", "")),
    ],
)
def test_an_operation_belongs_to_the_innermost_layer_it_was_traced_in(path, expected):
    assert costs.origin(path) == expected


def test_the_command_tells_what_training_and_inference_spend_their_time_on(command_here, tmp_path):
    ended = command_here(
        *("benchmarks.throughput", "--costs", "--models=mobilenet_v1:width=0.25"),
        *("--image_size=32", "--batch_size=4", f"--out={tmp_path / 'costs.csv'}"),
    )
    assert ended.returncode == 0, ended.stderr
    assert "convolution" in ended.stdout
    rows = list(csv.DictReader((tmp_path / "costs.csv").open()))
    shares, layers = collections.Counter(), collections.defaultdict(set)
    for row in rows:
        shares[row["kind"]] += float(row["share"])
        layers[row["kind"]].add((row["stage"], row["layer"]))
        assert float(row["milliseconds"]) >= 0
    assert shares == pytest.approx({"train": 1, "infer": 1})
    assert layers["train"] >= {
        ("forward", "convolution"),
        ("backward", "convolution"),
        ("backward", "batch norm"),
        ("step", "optimizer"),
    }
    assert ("forward", "convolution") in layers["infer"]
    assert {stage for stage, _ in layers["infer"]} == {"forward"}


def test_a_device_whose_profiler_tells_nothing_is_told_in_one_sentence(command_here, monkeypatch):
    monkeypatch.setattr(costs, "_traced", lambda step: {})
    ended = command_here(
        *("benchmarks.throughput", "--costs", "--models=squeezenet1_1", "--image_size=smallest")
    )
    assert ended.returncode == 2
    told = "JAX's profiler tells nothing of the operations of a "
    assert told + jax.devices()[0].device_kind in ended.stderr
