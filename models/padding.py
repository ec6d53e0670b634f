"""How a window is padded at the edges of a picture: as PyTorch's networks pad, or as TensorFlow's do.

PyTorch's networks pad both sides alike, by (kernel - 1) / 2 pixels. TensorFlow's "SAME" pads as little as leaves
ceil(size / stride) outputs; of an odd number of pixels the last side gets one more. With stride 1 the two agree. With
stride 2 and a 3x3 kernel, a picture of even size is padded by (1, 1) in one and by (0, 1) in the other: the outputs
have the same shape but see pixels that lie one apart. Weights trained with one convention lose many points of accuracy
with the other, and nothing fails.
"""

from typing import Literal

from isobudget.wording import quoted
from models.errors import ModelError

TORCH, TENSORFLOW = "torch", "tensorflow"
Same = Literal["SAME"]
SAME: Same = "SAME"


def check_padding(padding: str) -> None:
    """Raises `ModelError` if a model's option `padding` is none of the two conventions."""
    if padding not in (TORCH, TENSORFLOW):
        raise ModelError(f"padding is '{TORCH}' or '{TENSORFLOW}', not {quoted(padding)}.")


def keeping_size(kernel: int, padding: str) -> int | Same:
    """Returns what a `Conv` with an odd kernel is padded with so that stride 1 keeps the picture's size.

    Args:
      kernel: its side, in pixels.
      padding: "torch" or "tensorflow".
    """
    return SAME if padding == TENSORFLOW else kernel // 2


def same_pads(size: int, window: int, stride: int) -> tuple[int, int]:
    """Returns TensorFlow's "SAME" padding, (before, after), of an axis of `size` pixels.

    https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
