"""What a configuration may name: optimizers, schedules, recipes and metrics, your own included."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from benchmarks.errors import ConfigError
from isobudget.wording import quoted

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name; a name that is taken cannot be used again."""

    def __init__(self, kind: str):
        """Takes what error messages call an entry, such as `an optimizer`."""
        self._kind = kind
        self._entries: dict[str, Entry] = {}
        self._modules: dict[str, str] = {}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def register(self, name: str, entry: Entry, module: str) -> None:
        """Adds an entry that `module` registers.

        Raises:
          ConfigError: the name is taken, or is not an identifier.
        """
        if not name.isidentifier():
            raise ConfigError(
                f"{quoted(name)} cannot be the name of {self._kind}: a name is made of letters, digits and _."
            )
        if name in self._entries:
            raise ConfigError(
                f"there is {self._kind} {quoted(name)} already, which {self._modules[name]} registers:"
                f" {module} must give its own another name."
            )
        self._entries[name] = entry
        self._modules[name] = module

    def module_of(self, name: str) -> str:
        """Returns the module that registered an entry."""
        return self._modules[name]

    def unregister(self, name: str) -> None:
        """Removes an entry, so that a test leaves nothing behind."""
        del self._entries[name], self._modules[name]


def options(function: Callable) -> dict[str, Any]:
    """Returns the options of a registered function, its keyword-only parameters, with their defaults.

    Raises:
      ConfigError: one has no default that a configuration can hold.
    """
    defaults = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        if not isinstance(parameter.default, bool | int | float | str | tuple):
            raise ConfigError(
                f"the option {quoted(parameter.name)} of {function.__name__} needs a default that is a bool, int,"
                " float, str or tuple."
            )
        defaults[parameter.name] = parameter.default
    return defaults


# From (progress through the run, a float32 scalar from 0 to 1; `config.optimizer`) to a multiple of the peak learning
# rate.
SCHEDULES: Registry[Callable] = Registry("a schedule")
# From `config.optimizer` to an optimizer that is told the learning rate at each update.
OPTIMIZERS: Registry[Callable] = Registry("an optimizer")


def optimizer_options() -> dict[str, dict[str, Any]]:
    """Returns the options of each optimizer and schedule that has any, with their defaults, by its name."""
    functions = {**SCHEDULES, **OPTIMIZERS}
    listed = {name: options(function) for name, function in functions.items()}
    return {name: each for name, each in listed.items() if each}
