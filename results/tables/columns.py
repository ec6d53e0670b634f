"""The columns of the leaderboard, in one list: to add a column, add a line to `COLUMNS`.

New columns go to the end, so that a program that reads the CSV by position keeps working. docs/columns.md
is made from this list by `python -m results.column_docs`.
"""

from results.records import settings, spending, tasks
from results.tables.cells import amount, count, mebibytes, places, points_if_known, share
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
    certainty = (_TO_LEADER, _FIRST_SHARE, _RANK)
    return (*columns[:place], primary, *certainty, *others, *columns[place:], status)


_TO_LEADER = Column(
    "difference_to_leader",
    "fraction",
    "primary metric minus that of the first row, mean of the differences over the seeds that both have",
    lambda r: r.to_leader,
    "to leader",
    points_if_known,
    8,
    "difference_to_leader",
)

_FIRST_SHARE = Column(
    "first_share",
    "fraction",
    "share of the bootstrap samples, of test examples and seeds, in which the model comes first; "
    "empty for one seed without predictions",
    lambda r: r.standing.first_share if r.standing else None,
    "first %",
    share,
    5,
    "first_share",
)

_RANK = Column(
    "resampled_rank",
    "",
    "mean rank over the bootstrap samples; people see the interval that holds it in 95% of them",
    lambda r: r.standing.rank if r.standing else None,
    "rank 95%",
    places,
    3,
    "resampled_rank",
)

COLUMNS = (
    Column(
        "rank",
        "",
        "place by the mean of primary_metric; models that tie share one",
        lambda r: r.rank,
        "rank",
    ),
    Column("model", "", "name of the model, with its options", lambda r: r.model, "model"),
    Column(
        "image_size",
        "pixels",
        "height and width of the input",
        lambda r: r.image_size,
        "size",
        drop=4,
    ),
    Column(
        "parameters",
        "parameters",
        "trainable parameters, auxiliary heads excluded",
        lambda r: r.agreed(lambda run: run.model.parameters),
        "params",
        count,
    ),
    Column(
        "macs",
        "multiply-accumulates",
        "for one forward pass of one image",
        lambda r: r.agreed(lambda run: run.model.macs),
        "MACs",
        count,
        drop=1,
    ),
    Column("seeds", "seeds", "how many seeds completed", lambda r: r.seeds, "seeds", drop=2),
    primary("top1", "share of test examples whose label is the first guess", "top-1 %"),
    *interval("top1"),
    metric(
        "top5", "share of test examples whose label is among the first five guesses", "top-5 %", 3
    ),
    Column(
        "train_images_per_second",
        "images/s",
        "training speed of all devices together, waiting for input included",
        lambda r: r.speed(lambda run: run.throughput.train_images_per_second),
        "train img/s",
        amount,
        drop=9,
    ),
    Column(
        "infer_images_per_second",
        "images/s",
        "inference speed of all devices together, with the batch at hand",
        lambda r: r.speed(lambda run: run.throughput.infer_images_per_second),
        "infer img/s",
        amount,
        drop=10,
    ),
    Column(
        "train_seconds",
        "s",
        "time of the training steps, compilation excluded",
        lambda r: r.speed(lambda run: run.timings.train_seconds),
        "train s",
        amount,
        drop=6,
    ),
    Column(
        "status",
        "",
        "completed, or how many runs failed and how; how far off their budget runs were; and beside how many other "
        "runs of their host the speeds, latencies and seconds were measured",
        lambda r: r.status,
        "status",
    ),
    Column(
        "runs",
        "runs",
        "how many runs are behind the row, failed ones included",
        lambda r: len(r.runs),
    ),
    Column(
        "top1_std",
        "fraction",
        "sample standard deviation of top1 over seeds",
        lambda r: part(r.metric("test", "top1"), "std"),
    ),
    *interval("top5"),
    Column(
        "nll_nats",
        "nats",
        "mean negative log-likelihood on the test split (for multi_label the mean over labels, too)",
        lambda r: r.metric("test", "loss"),
    ),
    Column(
        "validation_top1",
        "fraction",
        "top1 on the validation split",
        lambda r: r.metric("validation", "top1"),
    ),
    Column(
        "steps", "steps", "optimizer steps", lambda r: r.over_seeds(lambda run: run.budget.steps)
    ),
    Column(
        "examples_spent",
        "examples",
        "training examples seen, repeats counted",
        lambda r: r.over_seeds(lambda run: run.budget.examples_spent),
    ),
    Column(
        "train_flops_spent",
        "FLOPs",
        "spent on training: 2 x MACs x 3 (forward and backward) per example",
        lambda r: r.over_seeds(lambda run: run.budget.train_flops_spent),
    ),
    Column(
        "compile_seconds",
        "s",
        "time spent tracing and compiling",
        lambda r: r.speed(lambda run: run.timings.compile_seconds),
    ),
    Column(
        "input_wait_seconds",
        "s",
        "part of train_seconds spent waiting for a batch",
        lambda r: r.speed(lambda run: run.timings.input_wait_seconds),
    ),
    Column(
        "total_seconds",
        "s",
        "time of the whole run",
        lambda r: r.speed(lambda run: run.timings.total_seconds),
    ),
    Column("dataset", "", "name of the dataset", lambda r: r.group.dataset),
    Column(
        "dataset_version",
        "",
        "version of the dataset, as TFDS writes it",
        lambda r: r.group.dataset_version,
    ),
    Column(
        "test_split", "", "split that the metrics are measured on", lambda r: r.group.test_split
    ),
    Column("task", "", "single_label, binary or multi_label", lambda r: r.group.task),
    Column("budget_kind", "", "what the budget counts", lambda r: r.group.budget_kind),
    Column(
        "budget_amount", "of budget_kind", "what a run was allowed", lambda r: r.group.budget_amount
    ),
    Column("recipe", "", "name of the training recipe", lambda r: r.group.recipe),
    Column(
        "batch_size", "examples", "how many make one step", lambda r: r.runs[0].budget.batch_size
    ),
    Column("device", "", "every device that the runs used", lambda r: " + ".join(r.devices)),
    Column(
        "run_ids",
        "",
        "ids of the runs behind the row",
        lambda r: " ".join(x.run_id for x in r.runs),
    ),
    Column(
        "train_seconds_spent",
        "s",
        "time of training, as a budget of seconds counts it",
        lambda r: r.speed(lambda run: run.budget.train_seconds_spent),
    ),
    Column(
        "budget_deviation",
        "fraction",
        "(spent - allowed) / allowed, for the run that is furthest off",
        lambda r: spending.worst_deviation(r.completed),
    ),
    Column(
        "tuning_trials",
        "trials",
        "how often each model was tried in tuning",
        lambda r: r.group.tuning_trials,
    ),
    Column(
        "input_wait_share",
        "fraction",
        "share of train_seconds spent waiting for a batch",
        lambda r: r.speed(spending.input_wait_share),
    ),
    Column(
        "unreadable_examples",
        "examples",
        "examples of all splits that could not be read",
        lambda r: r.over_seeds(spending.unreadable_examples),
    ),
    Column("train_split", "", "split that was trained on", lambda r: r.group.train_split),
    metric("ece", "expected calibration error on the test split", "ECE %", 12),
    Column(
        "activations",
        "values",
        "outputs of all convolutions and matrix products in one forward pass of one image",
        lambda r: r.agreed(lambda run: run.model.activations),
    ),
    Column(
        "weight_bytes",
        "bytes",
        "size of the parameters and batch statistics, auxiliary heads excluded",
        lambda r: r.agreed(lambda run: run.model.weight_bytes),
    ),
    Column(
        "infer_latency_p50_ms",
        "ms",
        "latency from one picture on the host to its logits there, median",
        lambda r: r.speed(lambda run: run.throughput.infer_latency_p50_ms),
        "p50 ms",
        amount,
        drop=11,
    ),
    Column(
        "infer_latency_p99_ms",
        "ms",
        "the same latency, 99th percentile",
        lambda r: r.speed(lambda run: run.throughput.infer_latency_p99_ms),
    ),
    Column(
        "peak_memory_bytes",
        "bytes",
        "most memory that training took: on the fullest device, or by the process where that is a CPU",
        lambda r: r.speed(lambda run: run.peak_memory_bytes),
        "peak MiB",
        mebibytes,
        drop=13,
    ),
    Column(
        "model_flops_utilization",
        "fraction",
        "train_flops_spent / train_seconds over the peak of the devices; empty where the peak is unknown",
        lambda r: r.speed(spending.model_flops_utilization),
    ),
    Column(
        "budget_spent",
        "of budget_kind",
        "what a run spent of its budget",
        lambda r: r.over_seeds(spending.budget_spent),
    ),
    Column(
        "primary_metric",
        "",
        "metric that the ranking goes by",
        lambda r: tasks.find(r.group.task).primary,
    ),
    _TO_LEADER,
    Column(
        "difference_to_leader_low",
        "fraction",
        "lower end of the 95% t-interval of difference_to_leader; empty for one seed in common or equal differences",
        lambda r: part(r.to_leader, "low"),
    ),
    Column(
        "difference_to_leader_high",
        "fraction",
        "upper end of the 95% t-interval of difference_to_leader; empty for one seed in common or equal differences",
        lambda r: part(r.to_leader, "high"),
    ),
    primary("roc_auc", "binary: area under the ROC curve", "ROC AUC %"),
    *interval("roc_auc"),
    metric("average_precision", "binary: area under the precision-recall curve", "AP %", 5),
    metric("accuracy", "binary: share of decisions that are right", "accuracy %", 3),
    metric("precision", "binary: share of positive decisions that are right", "precision %"),
    metric(
        "recall", "binary: share of positive examples that are decided to be positive", "recall %"
    ),
    metric("f1", "binary: harmonic mean of precision and recall", "F1 %"),
    primary(
        "mean_average_precision", "multi_label: mean over labels of the average precision", "mAP %"
    ),
    *interval("mean_average_precision"),
    metric("micro_f1", "multi_label: F1 over all decisions", "micro F1 %", 3),
    metric("macro_f1", "multi_label: mean over labels of F1", "macro F1 %", 5),
    metric("exact_match", "multi_label: share of examples whose labels are all right", "exact %"),
    Column(
        "validation_primary_metric",
        "fraction",
        "primary_metric on the validation split",
        lambda r: r.metric("validation", tasks.find(r.group.task).primary),
    ),
    Column(
        "settings",
        "",
        "every other field of the configuration that must agree in a ranking, where it is not at its default",
        lambda r: "; ".join(
            f"{path}={settings.shown(r.group.settings, path)}" for path, _ in r.group.settings
        ),
    ),
    _FIRST_SHARE,
    _RANK,
    Column(
        "resampled_rank_low",
        "",
        "lower end of the interval that holds the rank in 95% of the bootstrap samples",
        lambda r: part(r.standing.rank, "low") if r.standing else None,
    ),
    Column(
        "resampled_rank_high",
        "",
        "upper end of the interval that holds the rank in 95% of the bootstrap samples",
        lambda r: part(r.standing.rank, "high") if r.standing else None,
    ),
)
