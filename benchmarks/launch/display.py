"""A suite's progress: bars in a terminal, or lines in a log file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from benchmarks.cli import progress
from benchmarks.runs.plan import Run
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
    """The suite's bar above those of its runs, by node; without a terminal, a line for each phase of a run."""

    def __init__(self, runs: int):
        self._console = Console(stderr=True)
        self._runs = runs
        self._done = 0
        self._under_way: dict[Path, _UnderWay] = {}
        self._nodes: dict[str, Progress] = {}
        self._suite = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            _TimeLeft(),
            console=self._console,
        )
        self._suite_task = self._suite.add_task("suite", total=runs, detail=f"0/{runs} runs")
        self._waiting = 0
        self._standings: list[Table] = []
        self._live = Live(console=self._console, transient=True, get_renderable=self._picture)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tell(self, text: str) -> None:
        """Leaves a line, such as where more is to be seen."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def wait(self, number: int) -> None:
        """Shows how many runs wait for a device; none is said of runs that merely follow one another."""
        self._waiting = number

    def begin(self, run: Run, node: str = "") -> None:
        """Shows that a run has begun, on a node that has a name if there are several."""
        self._leave(run)
        number = self._done + len(self._under_way) + 1
        where = f" on {node}" if node else ""
        lines = progress.Lines(f"[{number}/{self._runs}] {run.title}{where}")
        # A bar of its own for each of the 10,000 runs of a suite would slow every picture: only these here have one.
        bars = self._nodes.setdefault(node, progress.run_bar(self._console))
        task = bars.add_task(run.title, total=1, detail="starting")
        self._under_way[run.workdir] = _UnderWay(node, task, lines)

    def update(self, run: Run, event: progress.Event) -> None:
        """Shows how far a run is that has begun."""
        here = self._under_way[run.workdir]
        if not self._console.is_terminal:
            here.lines.report(event)
            return
        progress.show(self._nodes[here.node], here.task, event)
        here.fraction = event.step / event.steps if event.steps else 0.0
        self._show_suite()

    def lose(self, run: Run, why: str) -> None:
        """Shows that a run has ended without a record, and is to go on somewhere else."""
        self._leave(run)
        self.tell(f"{run.title}: {why}; it goes on from its last checkpoint")

    def end(self, run: Run, record: records.RunRecord) -> None:
        """Moves the suite's bar on and leaves a line about the run."""
        self._leave(run)
        self._done += 1
        self._show_suite()
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

    def show(self, run_records: Sequence[records.RunRecord]) -> None:
        """Shows, above a terminal's bars, how the runs that have ended rank so far."""
        if self._console.is_terminal:
            self._standings = [_standing(table) for table in rows.summarize(run_records)]

    def _leave(self, run: Run) -> None:
        here = self._under_way.pop(run.workdir, None)
        if here is None:
            return
        bars = self._nodes[here.node]
        bars.remove_task(here.task)
        if not bars.tasks:
            del self._nodes[here.node]

    def _show_suite(self) -> None:
        under_way = sum(each.fraction for each in self._under_way.values())
        self._suite.update(
            self._suite_task,
            completed=self._done + under_way,
            detail=f"{self._done}/{self._runs} runs",
        )

    def _picture(self) -> Group:
        parts: list[Table | Progress | Text] = [*self._standings, self._suite]
        if self._waiting:
            parts.append(Text(f"{self._waiting:,} waiting for a device", style="dim"))
        for node in sorted(self._nodes):
            if node:
                parts.append(Text(node, style="bold"))
            parts.append(self._nodes[node])
        return Group(*parts)


@dataclasses.dataclass
class _UnderWay:
    """A run as it is shown: the node, its bar there or its lines, and how much of it is done, a fraction."""

    node: str
    task: TaskID
    lines: progress.Lines
    fraction: float = 0.0


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
