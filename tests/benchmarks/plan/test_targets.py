"""The accelerators that a plan is for."""

import importlib.util

import pytest

from benchmarks.errors import ConfigError
from benchmarks.plan import targets


@pytest.mark.parametrize(
    ("name", "platform", "topology", "devices"),
    [
        ("v5e:4x8", "tpu", "4x8", 32),
        ("v5p:2x2x2", "tpu", "2x2x2", 8),
        ("v6e:2x4", "tpu", "2x4", 8),
        ("v5e:1x1", "tpu", "1x1", 1),
        ("h100", "gpu", "1x1x1", 1),
        ("b200:8", "gpu", "1x1x8", 8),
        ("a100:16", "gpu", "1x2x8", 16),
        ("cpu:2", "cpu", "", 2),
    ],
)
def test_a_name_says_which_devices_and_how_many(name, platform, topology, devices):
    target = targets.parse(name)
    assert (target.platform, target.topology, target.devices) == (platform, topology, devices)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("v100", "--target is v5e:4x8, .* not 'v100'"),
        ("v5e", "the shape of a slice is written such as v5e:2x4"),
        ("v6e:3x4", "a single chip or made of hosts of 2x2 chips, such as v6e:2x4"),
        ("v5p:2x4", "the shape of a slice is written such as v5p:2x2x2"),
        ("h100:0", "a number of devices is written h100:8"),
        ("h100:", "a number of devices is written h100:8"),
        ("h100:12", "whole hosts of 8"),
    ],
)
def test_another_name_is_a_mistake(name, told):
    with pytest.raises(ConfigError, match=told):
        targets.parse(name)


def test_programs_get_what_the_runtime_leaves_of_a_devices_memory():
    assert targets.parse("v5e:2x4").usable_bytes == 15.75 * 2**30
    assert targets.parse("h100").usable_bytes == 60e9
    assert targets.parse("cpu").usable_bytes is None


@pytest.mark.parametrize(
    ("name", "told"), [("v5e:2x4", r"isobudget\[tpu\]"), ("h100", r"isobudget\[cuda\]")]
)
def test_what_is_missing_is_told_with_the_command_that_installs_it(name, told, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"--target={name} needs .*: pip install '{told}'"):
        targets.parse(name).check_installed()


@pytest.mark.parametrize("name", ["a100", "h100", "h200", "b200"])
def test_the_compiler_is_told_the_same_of_a_gpu_as_the_data_sheet_says(name):
    sheet = targets.parse(name).sheet
    described = targets.description(name)
    assert f"memory_bandwidth: {int(sheet.bytes_per_second)}" in described
    assert f"device_memory_size: {sheet.memory_bytes}" in described
