"""PyTorch and torchvision for the tests that compare with them; those are skipped where they are not installed."""

import sys
import types

import pytest

_OPERATORS = (
    "nms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_align",
    "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d",
    "_deform_conv2d_backward",
)  # fmt: skip


@pytest.fixture(scope="session")
def torch():
    torch = pytest.importorskip("torch", reason="parity needs PyTorch (the extra [parity])")
    torch.set_num_threads(2)
    return torch


@pytest.fixture(scope="session")
def torchvision(torch):
    """torchvision, with or without the compiled operators that its import asks for: models and transforms use none."""
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
