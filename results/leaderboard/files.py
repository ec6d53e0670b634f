"""The leaderboard's files, each a function of what runs left."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from results import RecordError, page
from results.rankings.examples import PredictedExamples
from results.rankings.rows import Table, summarize
from results.records.evaluations import EvaluationRecord
from results.records.files import write_atomically
from results.records.schema import RunRecord
from results.tables import document
from results.tables.comma_separated import to_csv
from results.tables.markdown import to_markdown


def write_tables(
    run_records: Iterable[RunRecord],
    out_dir: str | os.PathLike[str],
    run_evaluations: Iterable[EvaluationRecord] = (),
    folders: Mapping[str, Path] | None = None,
) -> tuple[Path, ...]:
    """Writes `leaderboard.md`, `.csv`, `.json` and `index.html` into `out_dir`; returns their paths.

    The same records give the same bytes, whatever order they come in.

    Args:
      run_records: of the runs.
      out_dir: made where it is missing.
      run_evaluations: of these runs on other data.
      folders: where each run's files lie, by run id, for the learning curves of the page and what the run predicted.

    Raises:
      RecordError: there are no records.
      OSError: the folder or a file cannot be written.
    """
    examples = PredictedExamples(folders or {})
    tables = summarize(run_records, evaluations=run_evaluations, examples=examples)
    if not tables:
        raise RecordError("there are no records to make a table from.")
    return write(tables, out_dir, folders or {})


def write(
    tables: Sequence[Table],
    out_dir: str | os.PathLike[str],
    folders: Mapping[str, Path],
    *,
    plots: bool = False,
) -> tuple[Path, ...]:
    """Writes the files of rankings that are made already; see `write_tables`.

    Args:
      tables: the rankings, one at least.
      out_dir: made where it is missing.
      folders: where each run's files lie, by run id.
      plots: also write the page's figures to `plots/` under `out_dir`.

    Raises:
      OSError: the folder or a file cannot be written.
    """
    texts = {
        "leaderboard.md": to_markdown(tables),
        "leaderboard.csv": to_csv(tables),
        document.FILE_NAME: document.to_json(tables),
    }
    paths = []
    for name, text in texts.items():
        paths.append(Path(out_dir) / name)
        write_atomically(paths[-1], text)
    paths.append(page.write(tables, out_dir, folders))
    if plots:
        # Altair and Vega take a second to import, which the other files do without.
        from results.page.plots import write_plots

        paths += write_plots(tables, out_dir, folders)
    return tuple(paths)
