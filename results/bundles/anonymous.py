"""Records without a trace of who made them: no path of the machine, no user's name, no host's."""

import dataclasses
import getpass
import re
from collections.abc import Mapping
from typing import Any

from results.records.codec import decode, encode
from results.records.evaluations import EvaluationRecord
from results.records.schema import RunRecord

ELSEWHERE = "elsewhere"
# What `benchmarks.machine.environment` writes; anything else there could be a name.
_HARDWARE = (
    "platform", "device_kind", "device_count", "process_count", "cpu", "cpu_cores", "memory_bytes",
    "peak_flops_per_second", "system",
)  # fmt: skip
# A path: between quotes it may have spaces, elsewhere it ends at one.
_QUOTED_PATH = re.compile(r"""(['"])(?:file:)?(?:~|/|[A-Za-z]:[\\/]|\\\\)[^'"\n]*\1""")
_PATH = re.compile(
    r"""(?<![\w.])(?:~[\w.-]*/|/(?=[\w.~-])|[A-Za-z]:[\\/]|\\\\)[^\s'",;()\[\]{}<>]*"""
)
# Datasets whose name is followed by where they lie.
_WITH_PATH = re.compile(r"(folder|tiny_imagenet\w*):(.*)", re.DOTALL)


def run_record(record: RunRecord) -> RunRecord:
    """Returns the record of a run without paths and names of its machine."""
    config = dict(record.config)
    if config.get("data_dir"):
        config["data_dir"] = ""
    if config.get("tuned"):
        config["tuned"] = "tuned.json"
    if config.get("init_from"):
        config["init_from"] = f"sha256:{record.init_digest}" if record.init_digest else ELSEWHERE
    for name in ("dataset", "workdir"):
        if isinstance(config.get(name), str):
            config[name] = dataset_name(config[name])
    plain = encode(
        dataclasses.replace(
            record,
            config=config,
            hardware={name: record.hardware[name] for name in _HARDWARE if name in record.hardware},
            dataset=dataclasses.replace(record.dataset, name=dataset_name(record.dataset.name)),
        )
    )
    return decode(RunRecord, _without_paths(plain))


def evaluation_record(record: EvaluationRecord) -> EvaluationRecord:
    """Returns the record of an evaluation without paths and names of its machine."""
    plain = encode(dataclasses.replace(record, dataset=dataset_name(record.dataset)))
    return decode(EvaluationRecord, _without_paths(plain))


def dataset_name(name: str) -> str:
    """Returns the name of a dataset without the folders that lead to it: `folder:flowers`."""
    matched = _WITH_PATH.fullmatch(name)
    if not matched:
        return _text(name)
    if matched[1] != "folder":
        return matched[1]
    last = re.split(r"[\\/]", matched[2].rstrip("\\/"))[-1]
    return f"folder:{ELSEWHERE if last in ('', '~', *_user_names()) else last}"


def _without_paths(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(key): _without_paths(each) for key, each in value.items()}
    return [_without_paths(each) for each in value] if isinstance(value, list) else value


def _text(text: str) -> str:
    """Returns the text with each path replaced, and with marks in place of what a page would take for a tag."""
    text = _QUOTED_PATH.sub(ELSEWHERE, text)
    text = _PATH.sub(ELSEWHERE, text)
    return re.sub(r"<(?=\s*[A-Za-z/!?])", "\u2039", text)


def _user_names() -> tuple[str, ...]:
    try:
        return (getpass.getuser(),)
    except (KeyError, OSError):  # a user without a name
        return ()
