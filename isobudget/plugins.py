"""Other people's models, datasets, optimizers and so on: modules that register them when they are imported.

A plug-in is named on the command line (`--plugins=mypackage.my_net`), in a configuration (`config.plugins`) or by the
package that brings it, as an entry point of the group `isobudget.plugins`. docs/extending.md has an example of each.
"""

import dataclasses
import hashlib
import importlib
import importlib.metadata
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from absl import flags

from isobudget.errors import PluginError, UserError

ENTRY_POINT_GROUP = "isobudget.plugins"
_FLAG = "plugins"


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A module that was imported for what it registers.

    Attributes:
      module: its dotted name.
      package: the installed package that it belongs to; None if it belongs to none.
      version: the package's.
      digest: SHA-256 (hex) of the module's source; None if it has no file.
    """

    module: str
    package: str | None
    version: str | None
    digest: str | None


_loaded: dict[str, Plugin] = {}


def load(names: Iterable[str], wanted_by: str = "") -> None:
    """Imports the modules, each once.

    Args:
      names: dotted names.
      wanted_by: where they are named, such as a record's path, for the sentence on one that is missing.

    Raises:
      PluginError: one of them cannot be imported.
      UserError: one of them registers what cannot be registered.
    """
    for name in names:
        if name in _loaded:
            continue
        _import(name, f", which {wanted_by} names," if wanted_by else "")
        _loaded[name] = _describe(name)


def load_installed() -> None:
    """Imports the plug-ins that installed packages bring.

    Raises:
      PluginError, UserError: as `load`.
    """
    for entry_point in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)):
        package = entry_point.dist.name if entry_point.dist else entry_point.name
        load([entry_point.module], f"the package {package}")


def loaded() -> tuple[Plugin, ...]:
    """Returns the plug-ins imported so far, by name."""
    return tuple(_loaded[name] for name in sorted(_loaded))


def define_flag() -> None:
    """Defines --plugins."""
    flags.DEFINE_list(
        _FLAG,
        [],
        "Modules of your own to import first, with commas between them. They may register models, datasets,"
        " optimizers and more (docs/extending.md).",
    )


def load_from_command_line(arguments: Sequence[str]) -> None:
    """Imports installed plug-ins and those of --plugins, which must be there before any other flag is read.

    Raises:
      PluginError, UserError: as `load`.
    """
    load_installed()
    load(_named(arguments), f"--{_FLAG}")


def _named(arguments: Sequence[str]) -> list[str]:
    """Returns the modules of `--plugins=a,b` or `--plugins a,b`; flags end at a bare `--`."""
    names: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        flag, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and flag == _FLAG:
            value = value if equals else "".join(arguments[index + 1 : index + 2])
            names = [name.strip() for name in value.split(",") if name.strip()]
    return names


def _import(name: str, where: str) -> None:
    # As `python -m` has it, and the console script has not; last, so that nothing there hides an installed package.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        importlib.import_module(name)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise PluginError(
                f"there is no module {name} here: the plug-in{where} is not installed, or not on the PYTHONPATH."
            ) from None
        raise _failed(name, where, error) from error
    except Exception as error:  # whatever somebody else's module does when it is imported
        raise _failed(name, where, error) from error


def _failed(name: str, where: str, error: Exception) -> PluginError:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    reason = (str(error).strip().splitlines() or [""])[0]
    return PluginError(
        f"the plug-in {name}{where or ''} cannot be imported: {type(error).__name__}: {reason}"
        f" ({last.filename}, line {last.lineno})."
    )


def _describe(name: str) -> Plugin:
    file = getattr(sys.modules[name], "__file__", None)
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    packages = importlib.metadata.packages_distributions().get(name.partition(".")[0], [])
    package = packages[0] if packages else None
    version = importlib.metadata.version(package) if package else None
    return Plugin(name, package, version, digest)
