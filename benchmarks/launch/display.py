"""A suite's progress: bars in a terminal, or lines in a log file."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from benchmarks.cli import progress
from results import records
from results.rankings import rows
from results.records import tasks
from results.tables.cells import percent


class _TimeLeft(ProgressColumn):
    """The time left at the speed of the runs so far; rich's own column judges by the last seconds alone."""

    def render(self, task) -> Text:
        if not task.completed or task.elapsed is None:
            return Text("left -:--:--", style="progress.remaining")
        seconds = int(task.elapsed * (task.total - task.completed) / task.completed)
        return Text(
            f"left {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
            style="progress.remaining",
        )


class Display:
    """The suite's bar above the run's; without a terminal, a line for each run and its phases."""

    def __init__(self, runs: int):
        self._console = Console(stderr=True)
        self._runs = runs
        self._done = 0
        self._lines = progress.Lines("suite")
        self._suite = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=self._console,
        )
        self._suite_task = self._suite.add_task("suite", total=runs, detail=f"0/{runs} runs")
        self._run = progress.run_bar(self._console)
        self._run_task = self._run.add_task("", total=1, detail="")
        self._live = Live(Group(self._suite, self._run), console=self._console, transient=True)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def begin(self, title: str, extra: bool = False) -> None:
        """Shows that a run has begun; `extra` says that it was not counted at the start."""
        if extra:
            self._runs += 1
            self._suite.update(self._suite_task, total=self._runs)
        self._lines = progress.Lines(f"[{self._done + 1}/{self._runs}] {title}")
        self._run.reset(self._run_task, description=title, detail="starting", total=1)

    def update(self, event: progress.Event) -> None:
        if not self._console.is_terminal:
            self._lines.report(event)
            return
        progress.show(self._run, self._run_task, event)
        fraction = event.step / event.steps if event.steps else 0.0
        self._suite.update(self._suite_task, completed=self._done + fraction)

    def show(self, run_records: Sequence[records.RunRecord]) -> None:
        """Shows, above a terminal's bars, how the runs that have ended rank so far."""
        if self._console.is_terminal:
            tables = [_standing(table) for table in rows.summarize(run_records)]
            self._live.update(Group(*tables, self._suite, self._run))

    def end(self, record: records.RunRecord) -> None:
        """Moves the suite's bar to the next run and leaves a line about this one."""
        self._done += 1
        self._suite.update(
            self._suite_task, completed=self._done, detail=f"{self._done}/{self._runs} runs"
        )
        split = "test" if record.metrics.test else "validation"
        task = tasks.find(record.dataset.task)
        score = getattr(record.metrics, split).get(task.primary)
        outcome = f"{record.status}: {record.error}"
        if score is not None:
            outcome = f"{split} {task.spoken} {score:.2%}"
        self._console.print(
            f"[{self._done}/{self._runs}] {record.label} seed {record.seed}: {outcome}",
            markup=False,
        )


def _standing(ranking: rows.Table) -> Table:
    """Returns the first columns of a ranking: enough to follow it while it grows."""
    task = tasks.find(ranking.group.task)
    table = Table("rank", "model", f"{task.spoken} %", "seeds", box=box.SIMPLE_HEAD)
    for column in (0, 2, 3):
        table.columns[column].justify = "right"
    for row in ranking.rows:
        cells = (str(row.rank or ""), row.model, percent(row.score) if row.score else row.status)
        table.add_row(*map(Text, (*cells, str(row.seeds))))
    return table
