"""Level d: the weights of a run, packed as plain arrays, and evaluated again."""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.audit.configuration import NotHereError, run_folder
from benchmarks.cli import progress
from benchmarks.config.setup import set_up
from benchmarks.errors import ConfigError
from benchmarks.evaluate.run import evaluate_model
from benchmarks.inference import trained_model
from benchmarks.steps.abstract import abstract_model
from benchmarks.weights.stored import save_weights, weights_digest
from results import RecordError
from results.audit import CONTRADICTED, VERIFIED, Claim
from results.bundles import Source, SubmittedRun, arrays, contents
from results.records import layout

_LEVEL = "d"
# Of a confidence or a logit, of one example: other processors and versions differ in the last bits of a sum.
_OFF, _OFF_BFLOAT16 = 0.01, 0.1
# Of a metric: an example on the edge between two classes may fall on the other side.
_METRIC_OFF = 0.005


def pack(folder: Path, out: Path) -> None:
    """Writes the weights of a run's folder as plain arrays by name; the same weights give the same bytes.

    Raises:
      ConfigError, CheckpointError: there are none, or they are not those of its record.
    """
    trained = trained_model.from_run(folder)
    held = io.BytesIO()
    named = _named(trained.params, trained.batch_stats)
    packed = {name: np.asarray(named[name]) for name in sorted(named)}
    np.savez(held, **packed)  # type: ignore[arg-type]  # the stub takes a name for one of its own arguments
    out.write_bytes(held.getvalue())


def claims(source: Source, run: SubmittedRun, config: ConfigDict) -> Iterator[Claim]:
    """Yields whether the weights are those of the record, and what they reach here.

    Raises:
      NotHereError: they cannot be evaluated here.
    """
    record = run.record
    setup = set_up(config, record.model.num_classes)
    _, *shapes = abstract_model(setup)
    expected = _named(*shapes)
    most = sum(int(np.prod(each.shape)) * each.dtype.itemsize for each in expected.values())
    data = source.read(contents.name_of(run.run_id, contents.WEIGHTS))
    try:
        held = arrays.read(data, contents.WEIGHTS, most + (1 << 20))
    except RecordError as error:
        yield Claim(_LEVEL, "weights", CONTRADICTED, str(error))
        return
    del data
    shapes_held = {name: (each.shape, each.dtype) for name, each in held.items()}
    if shapes_held != {name: (each.shape, each.dtype) for name, each in expected.items()}:
        reason = f"they are not those of a {record.label} with {record.model.num_classes} classes."
        yield Claim(_LEVEL, "weights", CONTRADICTED, reason)
        return
    params, batch_stats = _tree(shapes, held)
    if weights_digest(params, batch_stats) != record.weights_digest:
        reason = "their SHA-256 is not that of the record: they are another run's."
        yield Claim(_LEVEL, "weights", CONTRADICTED, reason)
        return
    yield Claim(_LEVEL, "weights", VERIFIED, "their SHA-256 is that of the record.")
    yield from _evaluated(run, params, batch_stats)


def _named(params: dict, batch_stats: dict) -> dict:
    """Returns the leaves by their paths, as digests name them."""
    tree = {"params": params, "batch_stats": batch_stats}
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _tree(shapes: list[dict], held: Mapping[str, np.ndarray]) -> tuple[dict, dict]:
    tree = jax.tree_util.tree_map_with_path(
        lambda path, _: np.asarray(held[jax.tree_util.keystr(path, simple=True, separator=".")]),
        {"params": shapes[0], "batch_stats": shapes[1]},
    )
    return tree["params"], tree["batch_stats"]


def _evaluated(run: SubmittedRun, params: dict, batch_stats: dict) -> Iterator[Claim]:
    record = run.record
    with run_folder(record) as folder:
        save_weights(folder, params, batch_stats)
        if run.class_names:
            layout.class_names_in(folder).write_text(json.dumps(list(run.class_names)))
        try:
            trained = trained_model.from_run(folder)
            with progress.create("lines", record.label) as reporter:
                evaluation, predicted = evaluate_model(
                    trained, record.dataset.test_split, None, reporter
                )
        except ConfigError as error:
            raise NotHereError(str(error).replace(str(folder), "its folder")) from None
    yield from _compared(run, dict(evaluation.metrics), predicted)


def _compared(
    run: SubmittedRun, measured: dict[str, float], predicted: Mapping[str, np.ndarray]
) -> Iterator[Claim]:
    record = run.record
    said = run.predictions.get("test")
    if said is not None:
        yield _same_predictions(said, predicted, str(record.config.get("dtype")))
    for name, value in record.metrics.test.items():
        if name not in measured:
            continue
        here = measured[name]
        off = abs(value - here) if name != "loss" else abs(value - here) / max(abs(here), 0.1)
        good = off <= (0 if name == "examples" else _METRIC_OFF) or (
            value != value and here != here
        )
        reason = f"the record says {value:.7g}, and its weights reach {here:.7g} here."
        yield Claim(_LEVEL, f"metrics.test.{name}", VERIFIED if good else CONTRADICTED, reason)


def _same_predictions(
    said: Mapping[str, np.ndarray], here: Mapping[str, np.ndarray], dtype: str
) -> Claim:
    name = "predictions.test"
    places = said.get("index"), here["index"]
    if places[0] is None or not np.array_equal(np.sort(places[0]), places[1]):
        return Claim(_LEVEL, name, CONTRADICTED, "they are not of the examples of the split.")
    order = np.argsort(places[0], kind="stable")
    most = _OFF if dtype == "float32" else _OFF_BFLOAT16
    for each in ("confidence", "logits", "loss"):
        if each not in here or each not in said:
            continue
        ours = np.asarray(here[each], np.float64)
        theirs = said[each][order].astype(np.float64)
        if theirs.shape != ours.shape:
            return Claim(_LEVEL, name, CONTRADICTED, f"{each} has another shape.")
        off = ~(np.abs(theirs - ours) <= most * np.maximum(1, np.abs(ours)))
        if off.any():
            example = int(places[1][np.argmax(off.reshape(len(off), -1).any(axis=1))])
            count = int(off.reshape(len(off), -1).any(axis=1).sum())
            reason = (
                f"{count:,} differ from what its weights say here, example {example} the first."
            )
            return Claim(_LEVEL, name, CONTRADICTED, reason)
    return Claim(_LEVEL, name, VERIFIED, "they are what its weights say here, to within rounding.")
