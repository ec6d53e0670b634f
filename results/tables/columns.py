"""The columns of the leaderboard, in one list: to add a column, add a line to `COLUMNS`.

New columns go to the end, so that a program that reads the CSV by position keeps working. docs/columns.md
is made from this list by `python -m results.column_docs`.
"""

from results.records import spending, tasks
from results.tables.cells import amount, count, mebibytes, points_if_known
from results.tables.column import Column, interval, metric, part, primary

__all__ = ["COLUMNS", "Column", "shown"]


def shown(task: str) -> tuple[Column, ...]:
    """Returns the columns that people see of a ranking of `task`: metrics after the seeds, status last."""
    metrics = tasks.find(task).shown
    columns = [c for c in COLUMNS if c.heading and not c.metric]
    place = [c.name for c in columns].index("seeds") + 1
    of_task = {c.metric: c for c in COLUMNS if c.heading and c.metric in metrics}
    primary, *others = (of_task[name] for name in metrics)
    status = next(c for c in columns if c.name == "status")
    columns.remove(status)
    return (*columns[:place], primary, _TO_LEADER, *others, *columns[place:], status)


_TO_LEADER = Column(
    "difference_to_leader",
    "fraction",
    "primary metric less that of the first row, mean of the differences of the same seeds",
    lambda r: r.to_leader,
    "to leader",
    points_if_known,
    8,
    "difference_to_leader",
)

COLUMNS = (
    Column(
        "rank", "", "place by the mean of primary_metric; ties share it", lambda r: r.rank, "rank"
    ),
    Column("model", "", "name with its options", lambda r: r.model, "model"),
    Column("image_size", "pixels", "height and width", lambda r: r.image_size, "size", drop=4),
    Column(
        "parameters",
        "numbers",
        "trained numbers, auxiliary heads excluded",
        lambda r: r.agreed(lambda run: run.model.parameters),
        "params",
        count,
    ),
    Column(
        "macs",
        "multiply-accumulates",
        "of one forward pass of one image",
        lambda r: r.agreed(lambda run: run.model.macs),
        "MACs",
        count,
        drop=1,
    ),
    Column("seeds", "seeds", "how many completed", lambda r: r.seeds, "seeds", drop=2),
    primary("top1", "of the test split, the label is the first guess", "top-1 %"),
    *interval("top1"),
    metric("top5", "of the test split, the label is among the first five guesses", "top-5 %", 3),
    Column(
        "train_images_per_second",
        "images/s",
        "training over all devices, waiting for input included",
        lambda r: r.speed(lambda run: run.throughput.train_images_per_second),
        "train img/s",
        amount,
        drop=9,
    ),
    Column(
        "infer_images_per_second",
        "images/s",
        "inference over all devices, of a batch that is there",
        lambda r: r.speed(lambda run: run.throughput.infer_images_per_second),
        "infer img/s",
        amount,
        drop=10,
    ),
    Column(
        "train_seconds",
        "s",
        "training steps after compilation",
        lambda r: r.speed(lambda run: run.timings.train_seconds),
        "train s",
        amount,
        drop=6,
    ),
    Column(
        "status", "", "completed, or how many runs failed and how", lambda r: r.status, "status"
    ),
    Column("runs", "runs", "behind the row, failed ones included", lambda r: len(r.runs)),
    Column(
        "top1_std",
        "fraction",
        "sample standard deviation over seeds",
        lambda r: part(r.metric("test", "top1"), "std"),
    ),
    *interval("top5"),
    Column(
        "nll_nats",
        "nats",
        "mean negative log-likelihood of the test split (in multi_label over labels too)",
        lambda r: r.metric("test", "loss"),
    ),
    Column(
        "validation_top1",
        "fraction",
        "of the validation split",
        lambda r: r.metric("validation", "top1"),
    ),
    Column(
        "steps", "steps", "of the optimizer", lambda r: r.over_seeds(lambda run: run.budget.steps)
    ),
    Column(
        "examples_spent",
        "examples",
        "seen in training, repeats counted",
        lambda r: r.over_seeds(lambda run: run.budget.examples_spent),
    ),
    Column(
        "train_flops_spent",
        "FLOPs",
        "2 x MACs x 3 (forward and backward) an example",
        lambda r: r.over_seeds(lambda run: run.budget.train_flops_spent),
    ),
    Column(
        "compile_seconds",
        "s",
        "tracing and compiling",
        lambda r: r.speed(lambda run: run.timings.compile_seconds),
    ),
    Column(
        "input_wait_seconds",
        "s",
        "of training, spent waiting for a batch",
        lambda r: r.speed(lambda run: run.timings.input_wait_seconds),
    ),
    Column(
        "total_seconds",
        "s",
        "the whole run",
        lambda r: r.speed(lambda run: run.timings.total_seconds),
    ),
    Column("dataset", "", "name", lambda r: r.group.dataset),
    Column("dataset_version", "", "as TFDS writes it", lambda r: r.group.dataset_version),
    Column("test_split", "", "the split that the metrics are of", lambda r: r.group.test_split),
    Column("task", "", "single_label, binary or multi_label", lambda r: r.group.task),
    Column("budget_kind", "", "what the budget counts", lambda r: r.group.budget_kind),
    Column(
        "budget_amount", "of budget_kind", "what a run was allowed", lambda r: r.group.budget_amount
    ),
    Column("recipe", "", "name", lambda r: r.group.recipe),
    Column("batch_size", "examples", "in a step", lambda r: r.runs[0].budget.batch_size),
    Column("device", "", "every device used", lambda r: " + ".join(r.devices)),
    Column("run_ids", "", "the runs behind the row", lambda r: " ".join(x.run_id for x in r.runs)),
    Column(
        "train_seconds_spent",
        "s",
        "of training, as a budget of seconds counts them",
        lambda r: r.speed(lambda run: run.budget.train_seconds_spent),
    ),
    Column(
        "budget_deviation",
        "fraction",
        "(spent - allowed) / allowed, of the run furthest off",
        lambda r: spending.worst_deviation(r.completed),
    ),
    Column("tuning_trials", "trials", "each model was tuned with", lambda r: r.group.tuning_trials),
    Column(
        "input_wait_share",
        "fraction",
        "of train_seconds, spent waiting for a batch",
        lambda r: r.speed(spending.input_wait_share),
    ),
    Column(
        "unreadable_examples",
        "examples",
        "of all splits, that could not be read",
        lambda r: r.over_seeds(spending.unreadable_examples),
    ),
    Column("train_split", "", "the split that was trained on", lambda r: r.group.train_split),
    metric("ece", "expected calibration error of the test split", "ECE %", 12),
    Column(
        "activations",
        "numbers",
        "that convolutions and matrix products put out in one forward pass of one image",
        lambda r: r.agreed(lambda run: run.model.activations),
    ),
    Column(
        "weight_bytes",
        "bytes",
        "of parameters and batch statistics, auxiliary heads excluded",
        lambda r: r.agreed(lambda run: run.model.weight_bytes),
    ),
    Column(
        "infer_latency_p50_ms",
        "ms",
        "from one picture on the host to its logits there, median",
        lambda r: r.speed(lambda run: run.throughput.infer_latency_p50_ms),
        "p50 ms",
        amount,
        drop=11,
    ),
    Column(
        "infer_latency_p99_ms",
        "ms",
        "the same, 99th percentile",
        lambda r: r.speed(lambda run: run.throughput.infer_latency_p99_ms),
    ),
    Column(
        "peak_memory_bytes",
        "bytes",
        "the most that training took: of the fullest device, on a CPU of the process",
        lambda r: r.speed(lambda run: run.peak_memory_bytes),
        "peak MiB",
        mebibytes,
        drop=13,
    ),
    Column(
        "model_flops_utilization",
        "fraction",
        "train_flops_spent / train_seconds over the devices' peak; empty where that is unknown",
        lambda r: r.speed(spending.model_flops_utilization),
    ),
    Column(
        "budget_spent",
        "of budget_kind",
        "what a run spent",
        lambda r: r.over_seeds(spending.budget_spent),
    ),
    Column(
        "primary_metric",
        "",
        "the metric that the ranking goes by",
        lambda r: tasks.find(r.group.task).primary,
    ),
    _TO_LEADER,
    Column(
        "difference_to_leader_low",
        "fraction",
        "lower end of its 95% t-interval; empty for one seed in common",
        lambda r: part(r.to_leader, "low"),
    ),
    Column(
        "difference_to_leader_high",
        "fraction",
        "higher end of its 95% t-interval; empty for one seed in common",
        lambda r: part(r.to_leader, "high"),
    ),
    primary("roc_auc", "binary: area under the ROC curve", "ROC AUC %"),
    *interval("roc_auc"),
    metric("average_precision", "binary: area under precision over recall", "AP %", 5),
    metric("accuracy", "binary: decisions that are right", "accuracy %", 3),
    metric("precision", "binary: of the positive decisions, right ones", "precision %"),
    metric("recall", "binary: of the positive examples, found ones", "recall %"),
    metric("f1", "binary: harmonic mean of precision and recall", "F1 %"),
    primary(
        "mean_average_precision", "multi_label: mean of the labels' average precisions", "mAP %"
    ),
    *interval("mean_average_precision"),
    metric("micro_f1", "multi_label: F1 over all decisions", "micro F1 %", 3),
    metric("macro_f1", "multi_label: mean of the labels' F1", "macro F1 %", 5),
    metric("exact_match", "multi_label: examples whose every label is right", "exact %"),
    Column(
        "validation_primary_metric",
        "fraction",
        "primary_metric on the validation split",
        lambda r: r.metric("validation", tasks.find(r.group.task).primary),
    ),
)
