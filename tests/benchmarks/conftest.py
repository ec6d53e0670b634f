"""What the harness's tests share: a fast model in every process, and a configuration that trains it in seconds."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.config import default_config
from benchmarks.inference import speed as inference_speed
from benchmarks.machine import neighbors, startup
from benchmarks.train import train_and_evaluate
from isobudget import plugins

_ROOT = Path(__file__).parents[2]
_PLUGINS = _ROOT / "tests" / "plugins"

# The tests' own models, here and in every process that the tests start.
sys.path.insert(0, str(_PLUGINS))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(_PLUGINS), str(_ROOT), os.environ.get("PYTHONPATH", "")]
)
plugins.load(["tiny_model"])

startup.use_compilation_cache()
# How fast the tests' models answer is of no interest.
inference_speed.BATCHES_SECONDS = inference_speed.SINGLE_SECONDS = 0.0
# Tests that run side by side are no neighbors of one another.
os.environ[neighbors.FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="isobudget-tests-")
# Else every process that the tests start would start itself again.
os.environ.update(startup.with_allocator(dict(os.environ)))


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> str:
    """Where the session's digits are prepared."""
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def make_config(data_dir):
    """Makes the configuration of twelve steps of `tiny` on digits."""

    def make():
        config = default_config()
        config.plugins = ("tiny_model",)
        config.model = "tiny"
        config.data_dir = data_dir
        config.budget.amount = 12 * 32.0
        config.optimizer.learning_rate = 0.02
        config.log_every_steps = 2
        config.checkpoint_every_steps = 5
        return config

    return make


@pytest.fixture
def config(make_config):
    """Twelve steps of `tiny` on digits, the test's own to change."""
    return make_config()


@pytest.fixture(scope="session")
def short_run(tmp_path_factory, make_config):
    """(folder, record) of a short run of `tiny` on digits, which no test changes."""
    folder = tmp_path_factory.mktemp("short") / "run"
    return folder, train_and_evaluate(make_config(), folder)


@pytest.fixture
def copied_run(short_run, tmp_path):
    """The folder of that run, the test's own to change."""
    return shutil.copytree(short_run[0], tmp_path / "run")


@pytest.fixture
def command(data_dir):
    """Runs `python -m ...` as a user would, with the tests' models registered, and returns the finished process."""

    def run(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", module, *_with_plugin(module, arguments)],
            env=os.environ | {"TFDS_DATA_DIR": data_dir} | environment,
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def command_here(command_here):
    """Does the same in the tests' own process."""
    return lambda module, *arguments: command_here(module, *_with_plugin(module, arguments))


def _with_plugin(module: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
    return (*arguments, "--plugins=tiny_model") if module.startswith("benchmarks.") else arguments
