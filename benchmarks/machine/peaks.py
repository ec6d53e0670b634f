"""The peak speeds of devices by their makers' data sheets: dense FLOPs per second of one device, by dtype.

`float32` is what JAX computes float32 convolutions and matrix products with unless told otherwise: TF32 on NVIDIA's
GPUs since Ampere. A TPU makes float32 of several bfloat16 passes, whose speed no data sheet gives, so it is left out.
"""

import re

# By the first words of JAX's `device_kind`; longer beginnings come first.
_PEAKS: tuple[tuple[str, dict[str, float]], ...] = (
    ("NVIDIA H200", {"bfloat16": 989.5e12, "float32": 494.7e12}),
    ("NVIDIA H100 PCIe", {"bfloat16": 756.5e12, "float32": 378e12}),
    ("NVIDIA H100 NVL", {"bfloat16": 835.5e12, "float32": 417.5e12}),
    ("NVIDIA H100", {"bfloat16": 989.5e12, "float32": 494.7e12}),
    ("NVIDIA A100", {"bfloat16": 312e12, "float32": 156e12}),
    ("NVIDIA L4", {"bfloat16": 121e12, "float32": 60e12}),
    ("NVIDIA A10G", {"bfloat16": 70e12, "float32": 35e12}),
    ("TPU v6 lite", {"bfloat16": 918e12}),
    ("TPU v5 lite", {"bfloat16": 197e12}),
    ("TPU v5p", {"bfloat16": 459e12}),
    ("TPU v5", {"bfloat16": 459e12}),
    ("TPU v4", {"bfloat16": 275e12}),
    ("TPU v3", {"bfloat16": 61.5e12}),  # half a chip, which is what JAX calls a device
    ("TPU v2", {"bfloat16": 22.5e12}),
)


def flops_per_second(device_kind: str, dtype: str) -> float | None:
    """Returns the peak of one device, or None if it is not known."""
    for beginning, peaks in _PEAKS:
        if re.match(rf"{beginning}\b", device_kind):
            return peaks.get(dtype)
    return None
