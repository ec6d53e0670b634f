"""Deep Compression of a finished run, with an evaluation after each of its stages."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

import models
from benchmarks import tasks
from benchmarks.cli import progress
from benchmarks.compress import kernels, storage
from benchmarks.compress.retrain import retrain
from benchmarks.errors import ConfigError
from benchmarks.evaluate.report import Evaluation, to_record
from benchmarks.evaluate.run import evaluate_model
from benchmarks.inference import trained_model
from benchmarks.inference.trained_model import TrainedModel
from benchmarks.machine.mesh import create_mesh, replicate
from isobudget.wording import exact
from results.records import evaluations
from results.records import tasks as record_tasks

_FEWEST_BITS, _MOST_BITS = 2, 16


@dataclasses.dataclass(frozen=True)
class Stage:
    """A model as it is after a stage.

    Attributes:
      name: what was done so far, such as "pruned-0.67-retrained-8bit"; "" before the first stage.
      metric, score: what the run's task is ranked by, as people say it, and its value.
      evaluation: on the run's test split.
      compression: what was done to the weights, and the bytes that they take.
    """

    name: str
    metric: str
    score: float
    evaluation: Evaluation
    compression: evaluations.Compression


def compress(
    workdir: str | Path,
    *,
    sparsity: float = 0.67,
    bits: Sequence[int] = (8, 6),
    retrain_examples: int | None = None,
    rate_factor: float = 0.1,
    data_dir: str | None = None,
    reporter: progress.Reporter | None = None,
) -> Iterator[Stage]:
    """Yields a run as it is, then pruned, retrained, and with weights of each number of bits.

    Every stage but the first is also written to `WORKDIR/evaluations/NAME.json`, which the tables read.

    Args:
      workdir: the folder of a finished run.
      sparsity: the fraction of each kernel's weights that is set to 0; 0 leaves out pruning and retraining.
      bits: of a kept weight, each of which is a result of its own.
      retrain_examples: how many to train on after pruning; by default as many as the run; 0 leaves it out.
      rate_factor: the peak of the learning rate then, as a fraction of the run's (a tenth in the paper).
      data_dir: the directory of prepared datasets; by default the run's.
      reporter: is told how far the work is.

    Raises:
      ConfigError, ModelError, DataError: one sentence on what is wrong; nothing was written.
      DivergedError: a loss is not finite.
    """
    _validate(sparsity, bits, retrain_examples, rate_factor)
    changes = {} if data_dir is None else {"data_dir": data_dir}
    trained = trained_model.from_run(workdir, **changes)
    dataset = tasks.load_dataset(trained.config)
    config, run = trained.config, trained.run_record
    if retrain_examples is None:
        retrain_examples = run.budget.examples_spent or 0
    if sparsity and 0 < retrain_examples < config.batch_size:
        raise ConfigError(
            f"{retrain_examples} examples are less than one batch of {config.batch_size}."
        )
    abstract = models.create_abstract(config.model, trained.setup.num_logits)
    auxiliary = auxiliary_names(abstract)
    retrained = 0

    def stage(name: str, trained: TrainedModel, bits: int) -> Stage:
        is_pruned = bool(sparsity) and name != ""
        taken = storage.size(trained.params, trained.batch_stats, bits, is_pruned, auxiliary)
        made = evaluations.Compression(
            weight_bits=bits,
            sparsity=sparsity if is_pruned else 0.0,
            index_bits=storage.ZERO_BITS if is_pruned else 0,
            bytes=taken.coded,
            dense_bytes=taken.dense,
            fixed_bytes=taken.fixed,
            retrained_examples=retrained,
        )
        evaluation, predictions = evaluate_model(trained, config.test_split, None, reporter)
        if name:
            record = to_record(evaluation, name, run, {})
            command = _command(sparsity, bits, retrain_examples, rate_factor)
            record = dataclasses.replace(record, command=command, compression=made)
            evaluations.write(record, workdir, predictions)
        task = record_tasks.find(config.task)
        return Stage(name, task.spoken, evaluation.metrics[task.primary], evaluation, made)

    with reporter or progress.create("lines", run.run_id) as reporter:
        yield stage("", trained, storage.FLOAT_BITS)
        done = []
        if sparsity:
            trained = _changed(trained, lambda kernel: kernels.prune(kernel, sparsity))
            done.append(f"pruned-{exact(sparsity)}")
            yield stage("-".join(done), trained, storage.FLOAT_BITS)
            if retrain_examples >= config.batch_size:
                rate = rate_factor * trained.setup.learning_rate
                trained = retrain(trained, dataset, retrain_examples, rate, reporter)
                retrained = retrain_examples - retrain_examples % config.batch_size
                done.append("retrained")
                yield stage("-".join(done), trained, storage.FLOAT_BITS)
        for each in bits:
            shared = _changed(trained, functools.partial(kernels.share, bits=each))
            yield stage("-".join([*done, f"{each}bit"]), shared, each)


def auxiliary_names(model: models.Classifier) -> set[str]:
    """Returns the names that a model's auxiliary heads have in its parameters."""
    heads = [id(head) for head in model.auxiliary_heads().values()]
    return {name for name, part in vars(model).items() if id(part) in heads}


def _changed(trained: TrainedModel, function: Callable[[np.ndarray], np.ndarray]) -> TrainedModel:
    params = replicate(kernels.change(trained.params, function), create_mesh())
    return dataclasses.replace(trained, params=params)


def _validate(
    sparsity: float, bits: Sequence[int], retrain_examples: int | None, rate_factor: float
) -> None:
    if not 0 <= sparsity < 1:
        raise ConfigError(f"--sparsity is from 0 to below 1, not {sparsity}.")
    for each in bits:
        if not _FEWEST_BITS <= each <= _MOST_BITS:
            raise ConfigError(f"--bits are from {_FEWEST_BITS} to {_MOST_BITS}, not {each}.")
    if not sparsity and not bits:
        raise ConfigError("say --sparsity or --bits: without either nothing gets smaller.")
    if retrain_examples is not None and retrain_examples < 0:
        raise ConfigError(f"--retrain_examples is 0 or more, not {retrain_examples}.")
    if not 0 < rate_factor < float("inf"):
        raise ConfigError(f"--rate_factor is above 0, not {rate_factor}.")


def _command(sparsity: float, bits: int, retrain_examples: int, rate_factor: float) -> str:
    flags = [f"--sparsity={sparsity}"]
    if bits != storage.FLOAT_BITS:
        flags.append(f"--bits={bits}")
    if sparsity:
        flags += [f"--retrain_examples={retrain_examples}", f"--rate_factor={rate_factor}"]
    return f"python -m benchmarks.compress --workdir=RUN {' '.join(flags)}"
