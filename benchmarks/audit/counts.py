"""Level b: what follows from a run's configuration and the code: sizes, FLOPs, learning rates, tuned values."""

import functools
import json
from collections.abc import Iterator

import jax
import numpy as np
from ml_collections import ConfigDict

import models
from benchmarks.config import derived, tuned
from benchmarks.config.setup import set_up
from benchmarks.runs import budget
from benchmarks.runs.pace import Look
from benchmarks.runs.plan import count_train_macs
from benchmarks.steps import optimizers
from benchmarks.tune.points import points
from results.audit import CONSISTENT, CONTRADICTED, NOT_CHECKED, VERIFIED, Claim
from results.audit.verdicts import agree
from results.bundles import SubmittedRun

_LEVEL = "b"
_CODE = "the model's code"
_MOST_STEPS = 2_000_000  # whose learning rates are worked out
_MOST_TRIALS = 10_000
# A log has means of float32, and machines differ in the last bits of a cosine.
_RELATIVE, _OF_PEAK = 1e-3, 1e-5


def claims(run: SubmittedRun, config: ConfigDict) -> Iterator[Claim]:
    """Yields a claim for each number that the configuration settles."""
    record = run.record
    expected = _counts(
        config.model, record.model.num_classes, derived.image_size(config), _key(config)
    )
    yield agree(
        _LEVEL, "model.image_size", record.model.image_size, derived.image_size(config),
        "its configuration", verdict=VERIFIED,
    )  # fmt: skip
    for name in ("parameters", "auxiliary_parameters", "macs", "activations", "weight_bytes"):
        said = getattr(record.model, name)
        if said is None:
            yield Claim(_LEVEL, f"model.{name}", NOT_CHECKED, "the record does not say it.")
        else:
            yield agree(_LEVEL, f"model.{name}", said, expected[name], _CODE, verdict=VERIFIED)
    spent, examples = record.budget.train_flops_spent, record.budget.examples_spent
    if spent is not None and examples is not None:
        setup = set_up(config, record.model.num_classes)
        flops = float(budget.train_flops(_train_macs(setup), examples))
        yield agree(
            _LEVEL, "budget.train_flops_spent", spent, flops, "the model's code and its examples",
            verdict=VERIFIED,
        )  # fmt: skip
    yield from _learning_rates(run, config)
    yield from _tuned(run, config)


def _key(config: ConfigDict) -> str:
    return json.dumps([config.dtype, config.transfer.frozen_stages])


@functools.lru_cache(maxsize=256)
def _counts(spec: str, num_logits: int, image_size: int, _: str) -> dict[str, int]:
    abstract = models.create_abstract(spec, num_logits)
    auxiliary = models.count_auxiliary_parameters(abstract)
    return {
        "parameters": models.count_parameters(abstract) - auxiliary,
        "auxiliary_parameters": auxiliary,
        "macs": models.count_macs(abstract, image_size),
        "activations": models.count_activations(abstract, image_size),
        "weight_bytes": models.count_weight_bytes(abstract),
    }


_train_macs_by_key: dict[str, int] = {}


def _train_macs(setup) -> int:
    key = json.dumps(
        [
            setup.config.model,
            setup.num_logits,
            setup.train_sizes,
            setup.config.transfer.frozen_stages,
        ]
    )
    if key not in _train_macs_by_key:
        _train_macs_by_key[key] = count_train_macs(setup)
    return _train_macs_by_key[key]


def _learning_rates(run: SubmittedRun, config: ConfigDict) -> Iterator[Claim]:
    """Yields whether the learning rates in the log are those of the schedule."""
    name = "log.learning_rate"
    steps = run.record.budget.steps
    logged = [line for line in run.log if "train/learning_rate" in line]
    if not logged or not steps:
        yield Claim(_LEVEL, name, NOT_CHECKED, "there are none in the log.")
        return
    if steps > _MOST_STEPS:
        yield Claim(_LEVEL, name, NOT_CHECKED, f"there are more than {_MOST_STEPS:,} steps.")
        return
    progress = _progress(run, steps)
    if progress is None:
        yield Claim(_LEVEL, name, NOT_CHECKED, "nothing says how far the run was at each step.")
        return
    peak = derived.learning_rate(config)
    schedule = jax.jit(jax.vmap(lambda at: optimizers.learning_rate(config.optimizer, at, peak)))
    rates = np.asarray(schedule(progress), np.float64)
    first = 0
    for line in logged:
        last = line["step"]
        said = line["train/learning_rate"]
        if type(last) is not int or not first < last <= steps or not isinstance(said, int | float):
            yield Claim(_LEVEL, name, CONTRADICTED, "its steps are not those of the run.")
            return
        expected = float(rates[first:last].mean())
        if abs(said - expected) > _RELATIVE * abs(expected) + _OF_PEAK * abs(peak):
            reason = (
                f"the log says {said:.6g} for steps {first + 1:,} to {last:,}, and the configuration gives"
                f" {expected:.6g}."
            )
            yield Claim(_LEVEL, name, CONTRADICTED, reason)
            return
        first = last
    yield Claim(
        _LEVEL, name, CONSISTENT, "they are those of the configured schedule at every step."
    )


def _progress(run: SubmittedRun, steps: int) -> np.ndarray | None:
    """Returns the share of the budget that is spent before each step, float32 [steps]; None if it is not known."""
    if run.record.budget.kind != "seconds":
        return np.arange(steps, dtype=np.float32) / np.float32(steps)
    try:
        looks = [
            Look(int(e["step"]), float(e["progress"]), float(e["per_step"])) for e in run.progress
        ]
    except (KeyError, TypeError, ValueError):
        return None
    if not looks or looks[0].step != 0:
        return None
    shares = np.empty(steps, np.float32)
    ends = [*(look.step for look in looks[1:]), steps]
    for look, end in zip(looks, ends, strict=True):
        for step in range(look.step, min(end, steps)):
            shares[step] = look.at(step)
    return shares


def _tuned(run: SubmittedRun, config: ConfigDict) -> Iterator[Claim]:
    """Yields whether the tuned values are among those that the search tries."""
    trials = config.tuning_trials
    if not trials:
        return
    name = "tuning"
    if not tuned.space(config) or trials > _MOST_TRIALS:
        yield Claim(_LEVEL, name, NOT_CHECKED, "the record does not say what was searched.")
        return
    chosen = {field: _chosen(config, field) for field in tuned.space(config)}
    if any(point == chosen for point in points(config, trials)):
        reason = f"its values are among the {trials} that every model is tried with."
        yield Claim(_LEVEL, name, VERIFIED, reason)
    else:
        named = ", ".join(f"{field}={value:g}" for field, value in chosen.items())
        reason = f"{named} is not among the {trials} points that the search tries."
        yield Claim(_LEVEL, name, CONTRADICTED, reason)


def _chosen(config: ConfigDict, field: str) -> float:
    if field == "optimizer.learning_rate":
        return derived.learning_rate(config)
    value = config
    for each in field.split("."):
        value = value[each]
    return value
