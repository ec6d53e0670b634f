"""What a record of one run holds: frozen dataclasses, whose fields are the JSON keys.

To add a field, give it a default, so that older records can still be read, and raise `SCHEMA_VERSION`, so that an older
version of the suite says that it is too old instead of misreading the record. A field without a default must be in
every record; one that may be null is null when it was not measured, or not reached.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 7

Status = Literal["completed", "diverged", "out_of_memory", "failed", "crashed"]


@dataclass(frozen=True)
class Model:
    """What was trained.

    Attributes:
      name: the name in the registry of models, without options.
      options: what was set beside the name, such as `{"width": 0.5}`. An option that the model gained later is added,
        with the value that it had before, when a record is read that was written with an earlier schema version
        (`isobudget.earlier`).
      image_size: height and width of the input, pixels.
      num_classes: outputs of the head.
      parameters: trained numbers, auxiliary heads (used in training only) excluded.
      auxiliary_parameters: trained numbers in the auxiliary heads; 0 without them.
      macs: multiply-accumulates of one forward pass of one image, inference form.
      activations: numbers that convolutions and matrix products put out in that pass (Radosavovic et al. 2020,
        arXiv:2003.13678, section 3.1, dense layers included); null in records before version 3.
      weight_bytes: bytes of the parameters (auxiliary heads excluded) and batch statistics as they are stored; null in
        records before version 3.
    """

    name: str
    options: Mapping[str, Any]
    image_size: int
    num_classes: int
    parameters: int | None = None
    auxiliary_parameters: int | None = None
    macs: int | None = None
    activations: int | None = None
    weight_bytes: int | None = None

    @property
    def label(self) -> str:
        """The name as commands take it: `mobilenet_v1:width=0.5`, options sorted by name."""
        options = ",".join(f"{key}={_text(self.options[key])}" for key in sorted(self.options))
        return f"{self.name}:{options}" if options else self.name


def _text(value: Any) -> str:
    """Returns an option's value as commands take it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Dataset:
    """The data: name, version, task, the splits as TFDS writes them, and their sizes (examples)."""

    name: str
    version: str
    task: str
    train_split: str
    validation_split: str
    test_split: str
    train_examples: int | None = None
    validation_examples: int | None = None
    test_examples: int | None = None


@dataclass(frozen=True)
class Budget:
    """What the run was allowed, and what it spent.

    Attributes:
      kind: what is counted (examples, training FLOPs, seconds of training).
      amount: how much of it was allowed, in the unit of `kind`.
      batch_size: examples in a step, over all devices.
      steps: optimizer steps the budget came to; null when the run failed before that was known.
      examples_spent: training examples seen, repeats counted.
      train_flops_spent: floating-point operations: 2 x MACs x 3 (forward and backward) per example, less where
        layers are frozen.
      train_seconds_spent: seconds of training, compilation, evaluation and checkpoints excluded.
    """

    kind: str
    amount: float
    batch_size: int
    steps: int | None = None
    examples_spent: int | None = None
    train_flops_spent: float | None = None
    train_seconds_spent: float | None = None


@dataclass(frozen=True)
class Metrics:
    """Metrics by name at the end of training, a mapping a split; empty when not reached.

    Fractions in [0, 1], but for `loss`, the mean negative log-likelihood in nats (over labels too, where there are
    many), and `examples`, which counts the examples behind them. By task:

    - single_label: `top1`, `top5`, `ece` (expected calibration error; from version 3 on);
    - binary: `accuracy`, `precision`, `recall`, `f1`, `roc_auc`, `average_precision`, `ece`;
    - multi_label: `mean_average_precision`, `micro_f1`, `macro_f1`, `exact_match`.
    """

    validation: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Timings:
    """Wall-clock seconds, each null when not measured.

    Attributes:
      train_seconds: training steps from the first after compilation, waiting for input included.
      compile_seconds: tracing and compiling.
      evaluation_seconds: all evaluations.
      input_wait_seconds: the part of `train_seconds` spent waiting for a batch.
      total_seconds: the whole run, start to finish.
    """

    train_seconds: float | None = None
    compile_seconds: float | None = None
    evaluation_seconds: float | None = None
    input_wait_seconds: float | None = None
    total_seconds: float | None = None


@dataclass(frozen=True)
class Throughput:
    """How fast it ran, each null when not measured; latencies from version 3 on.

    Attributes:
      train_images_per_second, infer_images_per_second: over all devices, in training input included.
      infer_latency_p50_ms, infer_latency_p99_ms: milliseconds from one picture (uint8, on the host) to its logits on
        the host, the median and the 99th percentile.
    """

    train_images_per_second: float | None = None
    infer_images_per_second: float | None = None
    infer_latency_p50_ms: float | None = None
    infer_latency_p99_ms: float | None = None


@dataclass(frozen=True)
class Git:
    """The commit (hex) the code was at, and whether files differed from it; null when unknown."""

    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class Failure:
    """Where training stopped making sense: the step, its loss (nats) and the gradient's L2 norm."""

    step: int
    loss: float | None = None
    gradient_norm: float | None = None


@dataclass(frozen=True)
class Decision:
    """How confidences become decisions.

    Attributes:
      thresholds: by label, of its confidence (the sigmoid of its logit, before any temperature), at and above which it
        is decided on; chosen on the validation split, 0.5 without one. Empty in single_label.
      temperature: what logits are divided by for calibrated confidences, fitted on the validation split; null where
        they are not calibrated.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    temperature: float | None = None


@dataclass(frozen=True)
class Plugin:
    """A module of somebody's own that the run imported for what it registers, such as a model.

    Attributes:
      module: its dotted name.
      package: the installed package that it belongs to; null if it belongs to none.
      version: the package's; null without one.
      digest: SHA-256 (hex) of the module's source; null if it has no file.
    """

    module: str
    package: str | None = None
    version: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """One run: what was asked, what was spent, what came out, and on what machine.

    Attributes:
      run_id: the name of the run's folder, the same for the same run started again.
      status: how it ended; only `completed` runs count in a mean.
      error: one sentence on why it did not complete.
      recipe: the name of the training recipe.
      seed: what every random number of the run derives from.
      software: versions by package name.
      hardware: `platform`, `device_kind`, `device_count`, `process_count`, `cpu`, `cpu_cores`,
        `memory_bytes` (of the host), `peak_flops_per_second` (of one device at the run's dtype, by its maker's data
        sheet; where that is known), and whatever else identifies the machine.
      command: the command that runs it again.
      config: the whole configuration.
      started_at, finished_at: ISO 8601, UTC.
      failure: where it diverged, if it did.
      unreadable_examples: how many of each split's examples could not be read: replaced in
        training, left out in evaluation; null in records before version 2.
      accumulation: in how many parts each batch was worked on: the configuration's, or more where
        memory ran out; null in records before version 2.
      remat: whether the insides of stages were computed again for the gradients, as the configuration says or because
        memory ran out; it changes no result. Null in records before version 5.
      peak_memory_bytes: the most memory that training took: of the fullest device, on a CPU of the process; null where
        it cannot be measured and in records before version 3.
      concurrent_runs: the most trainings, its own included, that were seen at once on its host (that of its first
        process) while it was trained and timed; null where nobody looked and in records before version 7.
      decision: null in single_label without calibration and in older records.
      positive_weights: by label, how much more a positive's loss weighed than a negative's; null where not at all.
      weights_digest: SHA-256 (hex) over the final parameters and batch statistics; two runs are
        the same run if these agree.
      init_digest: of the weights that it began with, all but the head: the `weights_digest` of the run or the SHA-256
        of the file that `config["init_from"]` names; null where all were drawn.
      plugins: by name, empty where the suite's own models, data and optimizers were enough, and in records before
        version 4.
    """

    run_id: str
    status: Status
    model: Model
    dataset: Dataset
    budget: Budget
    recipe: str
    seed: int
    command: str
    config: Mapping[str, Any]
    started_at: str
    finished_at: str
    software: Mapping[str, str]
    hardware: Mapping[str, Any]
    metrics: Metrics = field(default_factory=Metrics)
    timings: Timings = field(default_factory=Timings)
    throughput: Throughput = field(default_factory=Throughput)
    git: Git | None = None
    error: str | None = None
    failure: Failure | None = None
    weights_digest: str | None = None
    unreadable_examples: Mapping[str, int] | None = None
    accumulation: int | None = None
    remat: bool | None = None
    peak_memory_bytes: int | None = None
    concurrent_runs: int | None = None
    decision: Decision | None = None
    positive_weights: Mapping[str, float] | None = None
    init_digest: str | None = None
    plugins: tuple[Plugin, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def label(self) -> str:
        """The model with its options, as commands take it."""
        return self.model.label
