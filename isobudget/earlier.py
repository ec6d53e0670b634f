"""What earlier versions left unsaid: options that a model has gained since, and the values that it had before.

MobileNet v1 padded as PyTorch does, with its epsilon, before it took `padding` and `epsilon`. What earlier versions
wrote, be it a record, a configuration or a file of weights, is completed with them when it is read. So a name means one
network, and an earlier run can be run again.
"""

from collections.abc import Mapping
from typing import Any

# Records, and the configurations of run folders, say all options from this schema version on.
SINCE = 6
# What a file of weights says in its metadata that names a model with all its options.
SPEC_VERSION = "2"

_GAINED: Mapping[str, Mapping[str, Any]] = {"mobilenet_v1": {"padding": "torch", "epsilon": 1e-5}}


def completed_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a model's options as an earlier version set them, with those that it did not have yet."""
    return dict(_GAINED.get(name, {})) | dict(options)


def completed(spec: str) -> str:
    """Returns the spec, `name:option=value,...` sorted, of the model that an earlier version meant by `spec`."""
    name, options = _split(spec)
    if name not in _GAINED:
        return spec
    gained = {option: str(value) for option, value in _GAINED[name].items()}
    return _joined(name, gained | options)


def as_written(spec: str) -> str | None:
    """Returns how an earlier version wrote the model of `spec`; None if it could not be made, or was written alike."""
    name, options = _split(spec)
    gained = {option: str(value) for option, value in _GAINED.get(name, {}).items()}
    if not gained or not gained.items() <= options.items():
        return None
    return _joined(name, {option: text for option, text in options.items() if option not in gained})


def _split(spec: str) -> tuple[str, dict[str, str]]:
    name, _, listed = spec.strip().partition(":")
    pairs = (item.partition("=") for item in filter(None, listed.split(",")))
    return name, {option.strip(): text.strip() for option, _, text in pairs}


def _joined(name: str, options: Mapping[str, str]) -> str:
    listed = ",".join(f"{option}={options[option]}" for option in sorted(options))
    return f"{name}:{listed}" if listed else name
