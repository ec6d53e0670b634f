"""Width multipliers, which thin MobileNets."""

from models.errors import ModelError

_WIDEST = 100  # times the authors' channels; no machine holds more


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Returns the multiple of `divisor` nearest to `channels`, not below it nor below 90% of `channels`.

    The authors' code and torchvision round the channels of thinned layers like this in MobileNet v2 (arXiv:1801.04381)
    and v3.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def check_width(width: float) -> None:
    """Raises `ModelError` if `width` cannot be a width multiplier."""
    if not 0 < width <= _WIDEST:
        raise ModelError(
            f"a width multiplier is a number above 0 and up to {_WIDEST}, not {width}."
        )
