"""Compiled steps: asked of a process each, and kept on the disk, so that nothing is compiled twice.

A program is kept under what it depends on: the configuration, the target, the versions of what compiles it, and the
code that describes it. What is worked out from its text can change without compiling it again.
"""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import importlib
import importlib.metadata
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.config import stored
from benchmarks.config.setup import Setup
from benchmarks.machine import child
from benchmarks.plan.targets import Target
from isobudget import paths

# What compiles, and what describes the program.
_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "libtpu",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
    "nvidia-cuda-nvcc",
)
_ROOT = Path(__file__).resolve().parents[2]
_CODE = (
    "models",
    "benchmarks/config/derived.py",
    "benchmarks/plan/gpus",
    "benchmarks/steps",
    "benchmarks/tasks",
    "input_pipeline/on_device.py",
    "input_pipeline/seeds.py",
)
# Another number where what is kept of a program changes, or how it is compiled (`compiler`, `targets`).
_FORM = 1
# Fields that no program depends on.
_IRRELEVANT = ("budget", "data_dir", "dataset", "num_workers", "seed", "suite")


@dataclasses.dataclass(frozen=True)
class Job:
    """One step of one model to compile for a target.

    Attributes:
      setup: the run's.
      target: the devices.
      side: the image side of a training step, in pixels; None for the evaluation step.
    """

    setup: Setup
    target: Target
    side: int | None

    @property
    def step(self) -> str:
        """What the step is for: `training` or `evaluation`."""
        return "evaluation" if self.side is None else "training"

    @property
    def batch_size(self) -> int:
        """The images of a step, over all devices."""
        if self.side is not None:
            return self.setup.config.batch_size
        devices = self.target.devices
        return -(-self.setup.config.eval_batch_size // devices) * devices


@dataclasses.dataclass(frozen=True)
class Program:
    """What compiling a step gave.

    Attributes:
      problem: why it does not compile, in one line; empty if it does.
      compile_seconds: how long tracing and compiling took.
      argument_bytes, output_bytes, temporary_bytes: memory of one device.
      aliased_bytes: the part of the output that takes the place of arguments.
      text: the compiled program's; empty if there is none.
    """

    problem: str
    compile_seconds: float
    argument_bytes: int = 0
    output_bytes: int = 0
    temporary_bytes: int = 0
    aliased_bytes: int = 0
    text: str = dataclasses.field(default="", repr=False)

    @property
    def memory_bytes(self) -> int:
        """What the step needs on each device, beside the program itself."""
        return self.argument_bytes + self.output_bytes + self.temporary_bytes - self.aliased_bytes


class Compiler:
    """Compiles steps in processes of their own, each program once. On leaving it, those that still compile end."""

    def __init__(self, folder: Path | None = None, fresh: bool = False):
        """Prepares to compile.

        Args:
          folder: where programs are kept; by default in the user's cache folder.
          fresh: whether those that are kept already are compiled again.
        """
        cache = paths.cache_folder()
        self._folder = folder or (cache and cache / "isobudget" / "plans")
        self._fresh = fresh
        self._children: set[child.Child] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> "Compiler":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the processes that still compile; no others begin."""
        with self._lock:
            self._stopped = True
            for process in self._children:
                process.close()

    @property
    def stopped(self) -> bool:
        """Whether nothing is compiled anymore."""
        return self._stopped

    def kept(self, job: Job) -> Program | None:
        """Returns the program if it was compiled before."""
        path = self._path(job)
        if path is None or self._fresh:
            return None
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
            facts = json.loads(path.read_text())
            text = path.with_suffix(".txt.gz")
            return Program(**facts, text="" if facts["problem"] else gzip.open(text, "rt").read())
        return None

    def compile(self, job: Job) -> Program:
        """Returns the program, compiled by a process of its own unless it is kept.

        Raises:
          ChildError: the process ended without an answer, such as for want of memory.
          ConfigError: there is no such target.
        """
        kept = self.kept(job)
        if kept is not None:
            return kept
        with tempfile.TemporaryDirectory() as scratch:
            config, text = Path(scratch, "config.json"), Path(scratch, "program.txt.gz")
            config.write_text(json.dumps(stored.to_plain(job.setup.config)))
            request = {
                "config": str(config),
                "num_logits": job.setup.num_logits,
                "target": job.target.name,
                "side": job.side,
                "text": str(text),
            }
            with self._process(job) as process:
                facts = {"problem": ""} | process.ask(request)
            content = b"" if facts["problem"] else text.read_bytes()
        self._keep(job, facts, content)
        return Program(**facts, text=gzip.decompress(content).decode() if content else "")

    @contextlib.contextmanager
    def _process(self, job: Job) -> Iterator[child.Child]:
        who = f"the process that compiles {job.setup.model} for {job.target.name}"
        with self._lock:
            if self._stopped:
                raise child.ChildError(f"{who} was not started.")
            process = child.Child(
                ["-m", "benchmarks.plan.compiler"], who, dict(job.target.environment)
            )
            self._children.add(process)
        try:
            yield process
        finally:
            with self._lock:
                self._children.discard(process)
            process.close()

    def _keep(self, job: Job, facts: dict[str, Any], content: bytes) -> None:
        path = self._path(job)
        if path is None:
            return
        with contextlib.suppress(
            OSError
        ):  # a full disk costs the next call time, and this one nothing
            path.parent.mkdir(parents=True, exist_ok=True)
            if content:
                _write_whole(path.with_suffix(".txt.gz"), content)
            _write_whole(path, json.dumps(facts).encode())

    def _path(self, job: Job) -> Path | None:
        return self._folder / f"{key(job)}.json" if self._folder else None


def key(job: Job) -> str:
    """Returns the name that a program is kept under: a digest of all that it depends on."""
    config = stored.to_plain(job.setup.config)
    for field in _IRRELEVANT:
        config.pop(field, None)
    for field in ("eval_batch_size",) if job.side is not None else ("batch_size", "accumulation"):
        config.pop(field, None)
    depends_on = {
        "form": _FORM,
        "config": config,
        "num_logits": job.setup.num_logits,
        "target": job.target.name,
        "side": job.side,
        "versions": versions(),
        "flags": {name: os.environ.get(name) for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")},
        "code": _digest(*(str(_ROOT / each) for each in _CODE), *_plugins(job.setup)),
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def versions() -> dict[str, str]:
    """Returns the versions of what compiles programs, by package; those that are not installed are left out."""
    installed = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name)
    return installed


def _plugins(setup: Setup) -> list[str]:
    """Returns the files of the plug-ins that a configuration names."""
    files = [importlib.import_module(name).__file__ for name in setup.config.plugins]
    return [file for file in files if file]


@functools.cache
def _digest(*roots: str) -> str:
    """Returns a digest of the files, and of those of folders."""
    digest = hashlib.sha256()
    for root in map(Path, roots):
        suffixes = {".py", ".txtpb"}
        inside = sorted(each for each in root.rglob("*") if each.suffix in suffixes)
        for file in inside if root.is_dir() else [root]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
