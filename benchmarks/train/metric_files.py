"""A run's metrics in files: `metrics.jsonl`, and TensorBoard events under `tensorboard/`."""

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from isobudget.wording import quoted
from results.records import files, layout


class MetricFiles:
    """Appends scalars by step to both files; a context manager.

    A resumed run drops the lines of steps after the one it resumes from, because it will write them again. One that is
    only evaluated has resumed from its last step, and drops those of an earlier evaluation after it.
    """

    def __init__(self, workdir: Path, resumed_step: int, only_evaluates: bool = False):
        self._path = layout.metrics_in(workdir)
        kept = [line for line in self._lines() if _step_of(line, self._path) <= resumed_step]
        if only_evaluates:
            kept = [line for line in kept if not _is_of_evaluation(line, resumed_step)]
        files.write_atomically(self._path, "".join(f"{line}\n" for line in kept))
        self._file = self._path.open("a")
        self._tensorboard = _TensorBoard(Path(workdir) / "tensorboard", resumed_step + 1)

    def __enter__(self) -> "MetricFiles":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        # What ended the block is not to be hidden by files that cannot be closed.
        with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
            self._file.close()
            self._tensorboard.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars, named as `train/loss` is, under the number of steps done.

        Raises:
          OSError: they cannot be written.
        """
        # JSON has no NaN; as text it stays readable.
        plain = {name: value if _finite(value) else str(value) for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **plain}) + "\n")
        self._file.flush()
        self._tensorboard.write(step, values)

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


class _TensorBoard:
    """An event file that is written at once.

    tensorboardX's own writer has a thread that dies when a disk is full, after which its caller waits forever.
    """

    def __init__(self, folder: Path, first_step: int):
        from tensorboardX.event_file_writer import EventsWriter  # imports PyTorch if it is there
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"))
        # TensorBoard forgets what an earlier attempt wrote from this step on.
        start = SessionLog(status=SessionLog.START)
        self._writer.write_event(Event(step=first_step, wall_time=time.time(), session_log=start))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        now = time.time()
        for name, value in values.items():
            event = Event(step=step, wall_time=now, summary=scalar(name, value))
            self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _is_of_evaluation(line: str, step: int) -> bool:
    """Returns whether a line is of the evaluation after a step."""
    values = json.loads(line)
    return values["step"] == step and any(
        name.startswith(("validation/", "test/")) for name in values
    )


def _step_of(line: str, path: Path) -> float:
    """Returns the step of a line; of one that is damaged, which is told and dropped, infinity."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        print(f"warning: a damaged line of {path} is dropped: {quoted(line[:60])}", file=sys.stderr)
        return float("inf")
