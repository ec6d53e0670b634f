"""torchvision for the tests that compare with it."""

import sys
import types

import pytest

_OPERATORS = (
    "nms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_align",
    "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d",
    "_deform_conv2d_backward",
)  # fmt: skip


def import_torchvision() -> types.ModuleType:
    """Returns torchvision, with or without the compiled operators that its import asks for.

    Transforms and classification models use none of them, so that names without a function do. The test is skipped
    where PyTorch or torchvision is not installed.
    """
    torch = pytest.importorskip("torch", reason="parity needs PyTorch (the extra [parity])")
    torch.set_num_threads(2)
    try:
        torch.ops.torchvision.nms  # noqa: B018
    except AttributeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            library.define(f"{name}(Tensor input) -> Tensor")
        empty = types.ModuleType("torchvision._meta_registrations")
        sys.modules["torchvision._meta_registrations"] = empty
    return pytest.importorskip(
        "torchvision", reason="parity needs torchvision (the extra [parity])"
    )
