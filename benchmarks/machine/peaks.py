"""The peak speeds and the memory of devices, by their makers' data sheets.

NVIDIA's are of the data sheets of each GPU (H200, H100, A100, L4) and of HGX B200, without sparsity; Google's of the
pages "TPU v6e", "TPU v5e", "TPU v5p", "TPU v4" and "System architecture" of Cloud TPU's documentation. A device is what
JAX calls one: half a chip of TPU v2 and v3.

`float32` is what JAX computes float32 convolutions and matrix products with unless told otherwise: TF32 on NVIDIA's
GPUs since Ampere. A TPU makes float32 of several bfloat16 passes, whose speed no data sheet gives, so it is left out.
"""

import dataclasses
import re
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class DataSheet:
    """What a maker says of one device.

    Attributes:
      flops_per_second: dense, by dtype.
      bytes_per_second: to and from its memory.
      memory_bytes: all of it.
    """

    flops_per_second: Mapping[str, float]
    bytes_per_second: float
    memory_bytes: int


def _gpu(bfloat16: float, tf32: float, bandwidth: float, gigabytes: int) -> DataSheet:
    return DataSheet({"bfloat16": bfloat16, "float32": tf32}, bandwidth, gigabytes * 10**9)


def _tpu(bfloat16: float, bandwidth: float, gibibytes: int) -> DataSheet:
    return DataSheet({"bfloat16": bfloat16}, bandwidth, gibibytes * 2**30)


# By the first words of JAX's `device_kind`; longer beginnings come first.
_DATA_SHEETS: tuple[tuple[str, DataSheet], ...] = (
    ("NVIDIA B200", _gpu(2250e12, 1125e12, 8e12, 180)),
    ("NVIDIA H200", _gpu(989.5e12, 494.7e12, 4.8e12, 141)),
    ("NVIDIA H100 PCIe", _gpu(756.5e12, 378e12, 2e12, 80)),
    ("NVIDIA H100 NVL", _gpu(835.5e12, 417.5e12, 3.9e12, 94)),
    ("NVIDIA H100", _gpu(989.5e12, 494.7e12, 3.35e12, 80)),
    ("NVIDIA A100-SXM4-40GB", _gpu(312e12, 156e12, 1.555e12, 40)),
    ("NVIDIA A100-PCIE-40GB", _gpu(312e12, 156e12, 1.555e12, 40)),
    ("NVIDIA A100 80GB PCIe", _gpu(312e12, 156e12, 1.935e12, 80)),
    ("NVIDIA A100", _gpu(312e12, 156e12, 2.039e12, 80)),
    ("NVIDIA L4", _gpu(121e12, 60e12, 0.3e12, 24)),
    ("NVIDIA A10G", _gpu(70e12, 35e12, 0.6e12, 24)),
    ("TPU v6 lite", _tpu(918e12, 1600e9, 32)),
    ("TPU v5 lite", _tpu(197e12, 819e9, 16)),
    ("TPU v5p", _tpu(459e12, 2765e9, 95)),
    ("TPU v5", _tpu(459e12, 2765e9, 95)),
    ("TPU v4", _tpu(275e12, 1228e9, 32)),
    ("TPU v3", _tpu(61.5e12, 450e9, 16)),
    ("TPU v2", _tpu(22.5e12, 350e9, 8)),
)


def data_sheet(device_kind: str) -> DataSheet | None:
    """Returns what is known of one device by JAX's name of its kind, or None."""
    for beginning, sheet in _DATA_SHEETS:
        if re.match(rf"{beginning}\b", device_kind):
            return sheet
    return None


def flops_per_second(device_kind: str, dtype: str) -> float | None:
    """Returns the peak of one device, or None if it is not known."""
    sheet = data_sheet(device_kind)
    return sheet.flops_per_second.get(dtype) if sheet else None
