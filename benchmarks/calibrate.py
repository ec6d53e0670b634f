"""Fits a temperature to a run's confidences on the validation split, and keeps it in the run's record.

    python -m benchmarks.calibrate --workdir=runs/digits/runs/resnet50-seed0

Logits are divided by the temperature before they become confidences, which leaves their order as it is (Guo et al.
2017, arXiv:1706.04599, section 4.2). The metrics and thresholds in the record remain those of the undivided logits.
"""

import contextlib
import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from scipy import optimize

from benchmarks import tasks
from benchmarks.cli import command
from benchmarks.errors import ConfigError
from benchmarks.inference import trained_model
from benchmarks.inference.predict import split_batches
from benchmarks.inference.trained_model import TrainedModel
from benchmarks.machine import startup
from benchmarks.machine.mesh import create_mesh, place_batch, replicated
from isobudget import paths
from results import records

_COLDEST, _HOTTEST = 1e-2, 1e2


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does to the split that it was fitted on.

    Attributes:
      temperature: what logits are divided by; above 1 the model was too sure of itself.
      split: the validation split.
      examples: how many it was fitted on.
      loss_before, loss_after: mean negative log-likelihood, nats.
    """

    temperature: float
    split: str
    examples: int
    loss_before: float
    loss_after: float


def fit_temperature(task: tasks.Task, logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature at which the mean loss is lowest.

    Args:
      task: the task that the logits are for.
      logits: [examples, num_logits].
      labels: one for each example, in the task's form (`tasks.Task.label_spec`).
    """
    minimum = optimize.minimize_scalar(
        lambda logarithm: _mean_loss(task, logits / np.exp(logarithm), labels),
        bounds=(np.log(_COLDEST), np.log(_HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(minimum.x))


def _mean_loss(task: tasks.Task, logits: np.ndarray, labels: np.ndarray) -> float:
    targets = task.targets(jnp.asarray(labels), logits.shape[-1], 0.0)
    return float(np.mean(np.asarray(task.loss(jnp.asarray(logits), targets)), dtype=np.float64))


def calibrate(workdir: str | Path) -> Calibration:
    """Fits the temperature of a finished run's confidences and writes it into the run's record.

    Raises:
      ConfigError, CheckpointError, DataError: no such run, damaged weights, no validation split, or no data.
    """
    trained = trained_model.from_run(workdir)
    paths.check_writable(records.path_in(workdir), "--workdir")
    split = trained.config.validation_split
    if not split:
        raise ConfigError(f"the run in {workdir} has no validation split to calibrate on.")
    logits, labels = _logits(trained, split)
    task = trained.model.task
    temperature = fit_temperature(task, logits, labels)
    decision = dataclasses.replace(
        trained.run_record.decision or records.Decision(), temperature=temperature
    )
    record = dataclasses.replace(trained.run_record, decision=decision)
    records.write(record, records.path_in(workdir))
    return Calibration(
        temperature,
        split,
        len(labels),
        _mean_loss(task, logits, labels),
        _mean_loss(task, logits / temperature, labels),
    )


def _logits(trained: TrainedModel, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns (logits [examples, num_logits], labels) of a split's examples that can be read."""
    mesh = create_mesh()
    answer = jax.jit(trained.model.logits, out_shardings=replicated(mesh))
    dataset = tasks.load_dataset(trained.config)
    logits, labels = [], []
    with contextlib.closing(split_batches(trained.setup, dataset, split)) as batches:
        for batch in batches:
            counted = batch["mask"] > 0
            image = place_batch({"image": batch["image"]}, mesh)["image"]
            logits.append(np.asarray(answer(trained.params, trained.batch_stats, image))[counted])
            labels.append(batch["label"][counted])
    return np.concatenate(logits), np.concatenate(labels)


def define_flags() -> None:
    flags.DEFINE_string(
        "workdir",
        None,
        "The folder of a finished run that has a validation split. Its record gets the temperature.",
    )
    flags.mark_flag_as_required("workdir")


def main() -> None:
    startup.restart_with_allocator()
    startup.use_compilation_cache()
    done = calibrate(flags.FLAGS.workdir)
    print(
        f"temperature {done.temperature:.4f}: loss on {done.examples:,} examples of {done.split}"
        f" {done.loss_before:.4f} before, {done.loss_after:.4f} after; the record has it"
    )


if __name__ == "__main__":
    command.run(main, define_flags)
