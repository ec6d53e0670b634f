"""What data sheets say of devices, by JAX's names of their kinds."""

import pytest

from benchmarks.machine import peaks


@pytest.mark.parametrize(
    ("kind", "flops", "bandwidth"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5e12, 3.35e12),
        ("NVIDIA H100 PCIe", 756.5e12, 2e12),
        ("NVIDIA A100-SXM4-40GB", 312e12, 1.555e12),
        ("TPU v5 lite", 197e12, 819e9),
        ("TPU v5", 459e12, 2765e9),
    ],
)
def test_the_longest_name_that_fits_is_taken(kind, flops, bandwidth):
    sheet = peaks.data_sheet(kind)
    assert peaks.flops_per_second(kind, "bfloat16") == flops
    assert sheet.bytes_per_second == bandwidth


def test_of_an_unknown_device_or_dtype_nothing_is_known():
    assert peaks.data_sheet("cpu") is None
    assert peaks.flops_per_second("NVIDIA H1000", "bfloat16") is None
    assert peaks.flops_per_second("TPU v4", "float32") is None
