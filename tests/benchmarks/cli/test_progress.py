"""The bars of a terminal."""

import io

import pytest
from rich.console import Console

from benchmarks.cli import progress


@pytest.mark.parametrize("width", [40, 60, 80, 100, 130])
def test_no_number_of_a_runs_bar_is_cut(width):
    file = io.StringIO()
    console = Console(width=width, file=file, force_terminal=True, color_system=None)
    bar = progress.run_bar(console)
    task = bar.add_task("mobilenet_v1:width=0.5 seed 0", total=1, detail="")
    event = progress.Event("training", 110, 1250, loss=2.2947, images_per_second=11_248.0)
    progress.show(bar, task, event)
    console.print(bar.get_renderable())
    text = file.getvalue()
    assert "…" not in text
    for number in ("110/1250", "2.2947", "11,248"):
        assert number in text
