"""How the tests compile, and PyTorch with torchvision for those that compare with them (skipped where missing)."""

import os
import sys
import types

import pytest

_OPERATORS = (
    "nms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_align",
    "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d",
    "_deform_conv2d_backward",
)  # fmt: skip


def pytest_configure(config):
    # Compiling is most of the ordinary tests' time, and how well XLA optimises is not theirs to test.
    if "not slow" in config.option.markexpr:
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


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
