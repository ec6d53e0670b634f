"""The main job: train every model under one budget, several seeds each, and write the leaderboard.

    python -m benchmarks.suite --config=benchmarks/configs/digits.py --workdir=runs/digits

Each run is a process of its own in `WORKDIR/runs/<run id>`, so that a crash takes only itself. The same command goes
on where an earlier one was stopped: completed runs are kept, the others are resumed. `leaderboard.md` and
`leaderboard.csv` are made from the records of the runs alone. The exit status is 1 if a run failed.
"""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

import models
from benchmarks import commands, progress, runs
from benchmarks import config as config_lib
from benchmarks.errors import ConfigError
from input_pipeline import datasets
from results import leaderboard, records


def run(
    config: ConfigDict,
    workdir: str | Path,
    *,
    model_specs: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[records.RunRecord]:
    """Trains every model with every seed, writes the leaderboard, and returns the records, failed runs included.

    Args:
      config: what the runs share, see `benchmarks/config.py`.
      workdir: gets `runs/<run id>/record.json`, `leaderboard.md` and `leaderboard.csv`.
      model_specs: `config.suite.models` unless given.
      seeds: `config.suite.seeds` unless given.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    workdir = Path(workdir)
    planned = plan(config, workdir, model_specs or config.suite.models, seeds or config.suite.seeds)
    shared = config_lib.to_plain(config)
    for own in ("model", "seed"):
        shared.pop(own, None)
    commands.claim_directory(workdir, "suite.json", shared)
    with _Display(len(planned)) as display:
        for each in planned:
            display.begin(_title(each.config))
            record = runs.finished_record(each.workdir) or _run_in_process(each, display.update)
            display.end(record)
    made = [records.read(each.workdir / "record.json") for each in planned]
    everything, _ = records.load_all([workdir])
    leaderboard.write_tables(everything, workdir)
    return made


def plan(
    config: ConfigDict, workdir: Path, model_specs: Sequence[str], seeds: Sequence[int]
) -> list[runs.Run]:
    """Returns the runs, all models of the first seed first, after checking each.

    Raises:
      ConfigError, ModelError, BudgetError, DataError: one sentence on what is wrong; nothing was written.
    """
    if not model_specs or not seeds:
        raise ConfigError("a suite needs at least one model and one seed.")
    # The data is looked at last: preparing it writes, and every other mistake should show before.
    configs = [config_lib.for_run(config, spec, seed) for seed in seeds for spec in model_specs]
    for each in configs:
        config_lib.validate(each)
    dataset = datasets.load(config.dataset, config.data_dir or None)
    prepared = {}
    for each in configs:
        directory = workdir / "runs" / run_id(each)
        prepared[directory] = runs.prepare(each, directory, dataset)
    return list(prepared.values())


def run_id(config: ConfigDict) -> str:
    """Returns the name of a run's folder: `mobilenet_v1-width=0.5-seed0`."""
    spec = models.label(*models.parse(config.model))
    return f"{spec.replace(':', '-').replace(',', '-')}-seed{config.seed}"


def _title(config: ConfigDict) -> str:
    return f"{models.label(*models.parse(config.model))} seed {config.seed}"


def _run_in_process(each: runs.Run, update: Callable[[progress.Event], None]) -> records.RunRecord:
    """Trains one run in a process of its own and returns its record, or one that says how the process died."""
    started = runs.now()
    commands.claim_directory(each.workdir, "config.json", config_lib.to_plain(each.config))
    path = each.workdir / "record.json"
    path.unlink(missing_ok=True)
    from_json = Path(__file__).parent / "configs" / "from_json.py"
    arguments = [
        *(sys.executable, "-m", "benchmarks.train", "--progress=json"),
        f"--config={from_json}:{each.workdir / 'config.json'}",
        f"--workdir={each.workdir}",
    ]
    environment = commands.with_allocator(dict(os.environ))
    with (each.workdir / "log.txt").open("a") as log:
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        try:
            for line in process.stdout:
                event = progress.parse(line)
                if event:
                    update(event)
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if path.exists():
        return records.read(path)
    how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
    record = dataclasses.replace(
        runs.planned_record(each, started, "crashed"),
        error=f"The process ended {how}; see {each.workdir.name}/log.txt.",
    )
    records.write(record, path)
    return record


class _TimeLeft(ProgressColumn):
    """What is left if the rest is as fast as the runs so far; rich's own column looks at the last seconds alone."""

    def render(self, task) -> Text:
        if not task.completed or task.elapsed is None:
            return Text("left -:--:--", style="progress.remaining")
        seconds = int(task.elapsed * (task.total - task.completed) / task.completed)
        return Text(
            f"left {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
            style="progress.remaining",
        )


class _Display:
    """The suite's bar above the run's; without a terminal, a line for each run and its phases."""

    def __init__(self, runs: int):
        self._console = Console(stderr=True)
        self._runs = runs
        self._done = 0
        self._lines: progress.Lines | None = None
        self._suite = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=self._console,
        )
        self._suite_task = self._suite.add_task("suite", total=runs, detail=f"0/{runs} runs")
        self._run = progress.run_bar(self._console)
        self._run_task = self._run.add_task("", total=1, detail="")
        self._live = Live(Group(self._suite, self._run), console=self._console, transient=True)

    def __enter__(self) -> "_Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def begin(self, title: str) -> None:
        self._lines = progress.Lines(f"[{self._done + 1}/{self._runs}] {title}")
        self._run.reset(self._run_task, description=title, detail="starting", total=1)

    def update(self, event: progress.Event) -> None:
        if not self._console.is_terminal:
            self._lines.report(event)
            return
        progress.show(self._run, self._run_task, event)
        fraction = event.step / event.steps if event.steps else 0.0
        self._suite.update(self._suite_task, completed=self._done + fraction)

    def end(self, record: records.RunRecord) -> None:
        """Moves the suite's bar to the next run and leaves a line about this one."""
        self._done += 1
        self._suite.update(
            self._suite_task, completed=self._done, detail=f"{self._done}/{self._runs} runs"
        )
        top1 = record.metrics.test.get("top1")
        outcome = f"top-1 {top1:.2%}" if top1 is not None else f"{record.status}: {record.error}"
        self._console.print(
            f"[{self._done}/{self._runs}] {record.label} seed {record.seed}: {outcome}",
            markup=False,
        )


def _seeds(texts: list[str] | None) -> list[int] | None:
    try:
        return None if texts is None else [int(text) for text in texts]
    except ValueError:
        raise ConfigError(
            f"--seeds are whole numbers with commas between them, not {','.join(texts)!r}."
        ) from None


def define_flags() -> None:
    commands.define_run_flags("The suite's folder; the same command goes on in it.")
    flags.DEFINE_string(
        "models",
        None,
        "Which models, with commas between them, such as resnet50,mobilenet_v1:width=0.5.",
    )
    flags.DEFINE_list("seeds", None, "Which seeds, such as 0,1,2.")


def main() -> int:
    models_flag = flags.FLAGS.models
    made = run(
        flags.FLAGS.config,
        flags.FLAGS.workdir,
        model_specs=models_flag and config_lib.split_specs(models_flag),
        seeds=_seeds(flags.FLAGS.seeds),
    )
    leaderboard.print_table(made)
    print(f"Tables: {Path(flags.FLAGS.workdir) / 'leaderboard.md'} and leaderboard.csv")
    return int(any(record.status != "completed" for record in made))


if __name__ == "__main__":
    commands.run(main, define_flags)
