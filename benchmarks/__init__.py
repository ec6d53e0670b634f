"""The harness: every model trained under one budget, measured and recorded."""

import importlib.util
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def _other_package_of_that_name() -> str:
    """Returns one sentence on a folder that Python takes for one of this project's packages; empty where none is."""
    for name in ("input_pipeline", "isobudget", "models", "results"):
        spec = importlib.util.find_spec(name)
        places = [Path(each).resolve() for each in (spec and spec.submodule_search_locations) or ()]
        if _ROOT / name not in places[:1]:
            where = places[0] if places else (spec and spec.origin) or "nowhere"
            return (
                f"Python finds {where} where isobudget's own package {name} should be: use the command `isobudget`,"
                f" or run `python -P -m ...`, or start from a folder that has no {name} of its own."
            )
    return ""


_clash = _other_package_of_that_name()
# A command, as `python -m` or `isobudget` runs it, gets the sentence alone.
if _clash and sys.argv[0].startswith(("-m", "isobudget ")):
    print(f"error: {_clash}", file=sys.stderr)
    sys.exit(2)
if _clash:
    raise ImportError(_clash)
