"""A run's metrics in files: `metrics.jsonl`, and TensorBoard events under `tensorboard/`."""

import json
from collections.abc import Mapping
from pathlib import Path

from results.records import files, layout


class MetricFiles:
    """Appends scalars by step to both files; a context manager.

    A resumed run drops the lines of steps after the one it resumes from, because it will write them again.
    """

    def __init__(self, workdir: Path, resumed_step: int):
        from tensorboardX import SummaryWriter  # this imports PyTorch if it is installed

        self._path = layout.metrics_in(workdir)
        kept = [line for line in self._lines() if json.loads(line)["step"] <= resumed_step]
        files.write_atomically(self._path, "".join(f"{line}\n" for line in kept))
        self._file = self._path.open("a")
        self._tensorboard = SummaryWriter(
            str(Path(workdir) / "tensorboard"), purge_step=resumed_step + 1
        )

    def __enter__(self) -> "MetricFiles":
        return self

    def __exit__(self, *exception) -> None:
        self._file.close()
        self._tensorboard.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars, named as `train/loss` is, under the number of steps done."""
        # JSON has no NaN; as text it stays readable.
        plain = {name: value if _finite(value) else str(value) for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **plain}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def _lines(self) -> list[str]:
        """Returns the complete lines; a killed run may have left half a line at the end."""
        if not self._path.exists():
            return []
        text = self._path.read_text()
        return text[: text.rfind("\n") + 1].splitlines()


class NoFiles:
    """Discards the metrics, in a process that is not the one to write them; a context manager."""

    def __enter__(self) -> "NoFiles":
        return self

    def __exit__(self, *exception) -> None:
        pass

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes nothing."""


def _finite(value: float) -> bool:
    return abs(value) < float("inf")
