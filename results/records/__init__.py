"""Run records: their fields, how JSON holds them, and the folders that they lie in."""

from results.records.folders import (
    Problem,
    find,
    from_json,
    load_all,
    load_with_folders,
    original_id,
    read,
    to_json,
    write,
)
from results.records.layout import RECORD as FILE_NAME
from results.records.layout import path_in, record_path
from results.records.schema import (
    SCHEMA_VERSION,
    Budget,
    Dataset,
    Decision,
    Failure,
    Git,
    Metrics,
    Model,
    Plugin,
    RunRecord,
    Status,
    Throughput,
    Timings,
)

__all__ = [
    "FILE_NAME",
    "SCHEMA_VERSION",
    "Budget",
    "Dataset",
    "Decision",
    "Failure",
    "Git",
    "Metrics",
    "Model",
    "Plugin",
    "Problem",
    "RunRecord",
    "Status",
    "Throughput",
    "Timings",
    "find",
    "from_json",
    "load_all",
    "load_with_folders",
    "original_id",
    "path_in",
    "read",
    "record_path",
    "to_json",
    "write",
]
