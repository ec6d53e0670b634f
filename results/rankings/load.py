"""Rankings of the runs that lie in some folders: what commands begin with."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from results import RecordError
from results.rankings import reported
from results.rankings.examples import PredictedExamples
from results.rankings.rows import Table, summarize
from results.records import evaluations
from results.records.folders import Problem, load_with_folders


@dataclass(frozen=True)
class Loaded:
    """What some folders hold.

    Attributes:
      tables: the rankings, one at least.
      folders: where each run's files lie, by run id.
      examples: what the runs predicted for test examples.
      unreadable: the records and evaluations that were left out.
    """

    tables: Sequence[Table]
    folders: Mapping[str, Path]
    examples: PredictedExamples
    unreadable: Sequence[Problem]

    @property
    def problems(self) -> list[Problem]:
        """The records and evaluations that were left out, and the predictions, once the tables were made."""
        return [*self.unreadable, *self.examples.problems]


def rankings(
    directories: Sequence[str | os.PathLike[str]],
    references: Iterable[str | os.PathLike[str]] = (),
) -> Loaded:
    """Returns the rankings of the runs under the directories, with their evaluations on other data.

    Args:
      directories: folders of runs, or of one run.
      references: files of published figures, see `results.rankings.reported`.

    Raises:
      RecordError: there are no records, none can be read, or a file of published figures is wrong.
    """
    if not directories:
        raise RecordError("say where the runs are: a folder that has runs/*/record.json.")
    published = [figure for path in references for figure in reported.read(path)]
    records, folders, problems = load_with_folders(directories)
    where = ", ".join(map(str, directories))
    if not records and problems:
        raise RecordError(
            f"none of the {len(problems)} records in {where} can be read; the first is {problems[0]}"
        )
    if not records:
        raise RecordError(
            f"there are no records in {where}: a run writes DIR/runs/<run id>/record.json."
        )
    evaluated, unreadable = evaluations.load_all(directories, records)
    examples = PredictedExamples(folders)
    tables = summarize(records, reported=published, evaluations=evaluated, examples=examples)
    return Loaded(tables, folders, examples, [*problems, *unreadable])
