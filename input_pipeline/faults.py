"""Examples that cannot be read: each is reported once, and too many of them end the run."""

import sys
from collections.abc import Callable, Iterable

from input_pipeline.errors import DataError
from isobudget.wording import exact

DEFAULT_MAX_FRACTION = 0.001


class Faults:
    """The unreadable examples of one split, each counted once however often it comes up."""

    def __init__(
        self,
        place: str,
        num_examples: int,
        reason: Callable[[int], str],
        max_fraction: float = DEFAULT_MAX_FRACTION,
    ):
        """
        Args:
          place: names the dataset and split in messages.
          num_examples: the number of examples in the split.
          reason: returns what is wrong with the example at an index.
          max_fraction: of the split's examples may be unreadable; above that, `add` raises.
        """
        self._place = place
        self._num_examples = num_examples
        self._reason = reason
        self._max_fraction = max_fraction
        self._indices: set[int] = set()

    def __len__(self) -> int:
        return len(self._indices)

    def add(self, indices: Iterable[int]) -> None:
        """Counts the examples at these indices and reports each new one on standard error.

        Raises:
          DataError: more than `max_fraction` of the examples are unreadable.
        """
        for index in sorted({int(each) for each in indices} - self._indices):
            self._indices.add(index)
            reason = self._reason(index)
            if len(self._indices) > self._max_fraction * self._num_examples:
                raise DataError(
                    f"{len(self._indices)} of the {self._num_examples} examples of {self._place} cannot be read,"
                    f" more than max_unreadable_fraction {exact(self._max_fraction)} allows; example {index}: {reason}"
                )
            print(f"{self._place}, example {index}: {reason}", file=sys.stderr, flush=True)
