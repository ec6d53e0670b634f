"""How the tests compile and run commands; PyTorch with torchvision for those that compare (skipped where missing)."""

import os
import runpy
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest
from absl import flags

_OPERATORS = (
    "nms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_align",
    "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d",
    "_deform_conv2d_backward",
)  # fmt: skip


def pytest_configure(config):
    # Compiling is most of the ordinary tests' time, and how well XLA optimizes is not theirs to test.
    if "not slow" in config.option.markexpr:
        os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
        # Small programs too are compiled once, and not in each process.
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


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


@pytest.fixture
def command_here(data_dir, monkeypatch, capsys):
    """Runs `python -m ...` in the tests' own process, which has imported everything, and returns what it told."""
    monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
    monkeypatch.chdir(Path(__file__).parents[1])

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        before = set(flags.FLAGS)
        capsys.readouterr()
        status = 0
        try:
            with warnings.catch_warnings():
                # That it was imported before, which is what this is for.
                warnings.filterwarnings("ignore", "(?s).*found in sys.modules", RuntimeWarning)
                runpy.run_module(module, run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
        finally:
            for name in set(flags.FLAGS) - before:
                # Those of a library that the command was the first to import are needed on.
                module_of = flags.FLAGS.find_module_defining_flag(name, "")
                if not module_of.startswith(("grain", "array_record")):
                    delattr(flags.FLAGS, name)
        told = capsys.readouterr()
        return subprocess.CompletedProcess([module, *arguments], status, told.out, told.err)

    return run
