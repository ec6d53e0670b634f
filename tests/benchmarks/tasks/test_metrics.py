"""Metrics of predictions, against values worked out by hand and scikit-learn's."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.tasks import metrics
from results.records import tasks


def test_top1_and_top5_count_labels_with_few_classes_ahead():
    measured = metrics.single_label(
        {
            "rank": np.array([0, 0, 1, 4, 5]),
            "loss": np.array([0.1, 0.2, 0.3, 0.4, 1.0], np.float32),
            "confidence": np.full(5, 0.5, np.float32),
        }
    )
    assert (measured["top1"], measured["top5"], measured["examples"]) == (0.4, 0.8, 5)
    assert measured["loss"] == pytest.approx(0.4)


_LOGITS = st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.5, 2.0])  # few, so that there are ties


@st.composite
def predictions(draw, labels):
    """Logits and targets of 1 to 12 examples, and a threshold a label."""
    examples = draw(st.integers(1, 12))
    logits = draw(arrays(np.float32, (examples, labels), elements=_LOGITS))
    targets = draw(arrays(np.float32, (examples, labels), elements=st.sampled_from([0.0, 1.0])))
    chosen = draw(arrays(np.float64, labels, elements=st.sampled_from([0.05, 0.4, 0.5, 0.9])))
    return {"logits": logits, "targets": targets}, chosen


def quiet(measure, *arguments, **options):
    """scikit-learn's answer, without its warnings about what is not defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return measure(*arguments, **options)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@settings(max_examples=30, deadline=None)
@given(predictions(1))
def test_binary_metrics_are_scikit_learns(case):
    predicted, (threshold,) = case
    confidence, positive = (
        sigmoid(predicted["logits"])[:, 0],
        predicted["targets"][:, 0].astype(int),
    )
    decided = confidence >= threshold
    expected = {
        "accuracy": sk.accuracy_score(positive, decided),
        "precision": quiet(sk.precision_score, positive, decided),
        "recall": quiet(sk.recall_score, positive, decided),
        "f1": quiet(sk.f1_score, positive, decided),
        "loss": sk.log_loss(positive, confidence, labels=[0, 1]),
        "examples": len(positive),
    }
    measured = metrics.binary(predicted, np.array([threshold]))
    assert {name: measured[name] for name in expected} == pytest.approx(expected)
    negatives = len(positive) - positive.sum()
    if positive.any() and negatives:
        assert measured["roc_auc"] == pytest.approx(sk.roc_auc_score(positive, confidence))
        # The share of pairs of a positive and a negative that are in order, ties counting half.
        pairs = confidence[positive == 1][:, None] - confidence[positive == 0]
        in_order = np.mean((pairs > 0) + 0.5 * (pairs == 0))
        assert measured["roc_auc"] == pytest.approx(in_order)
    else:
        assert np.isnan(measured["roc_auc"])
    if positive.any():
        expected_precision = sk.average_precision_score(positive, confidence)
        assert measured["average_precision"] == pytest.approx(expected_precision)
    else:
        assert np.isnan(measured["average_precision"])


@settings(max_examples=30, deadline=None)
@given(predictions(3))
def test_multi_label_metrics_are_scikit_learns(case):
    predicted, chosen = case
    confidence, positive = sigmoid(predicted["logits"]), predicted["targets"].astype(int)
    decided = (confidence >= chosen).astype(int)
    measured = metrics.multi_label(predicted, chosen)
    expected = {
        "micro_f1": quiet(sk.f1_score, positive, decided, average="micro"),
        "macro_f1": quiet(sk.f1_score, positive, decided, average="macro"),
        "exact_match": sk.accuracy_score(positive, decided),
        "loss": np.mean(
            [sk.log_loss(positive[:, k], confidence[:, k], labels=[0, 1]) for k in range(3)]
        ),
        "examples": len(positive),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected)
    there = positive.any(axis=0)
    if there.any():
        assert measured["mean_average_precision"] == pytest.approx(
            sk.average_precision_score(positive[:, there], confidence[:, there], average="macro")
        )
    else:
        assert np.isnan(measured["mean_average_precision"])


def test_a_model_of_nans_is_never_right():
    targets = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    nothing = {"logits": np.full((2, 2), np.nan, np.float32), "targets": targets}
    measured = metrics.multi_label(nothing, np.array([0.5, 0.5]))
    assert (measured["micro_f1"], measured["macro_f1"], measured["exact_match"]) == (0, 0, 0)
    assert measured["mean_average_precision"] == 0.5  # the worst order of one in two
    assert np.isnan(measured["loss"])
    one = {name: values[:, :1] for name, values in nothing.items()}
    measured = metrics.binary(one, np.array([0.5]))
    assert (measured["accuracy"], measured["roc_auc"], measured["f1"]) == (0, 0, 0)
    assert np.isnan(measured["ece"])


def test_the_names_are_those_that_tables_know():
    one, many = np.ones((2, 1), np.float32), np.ones((2, 3), np.float32)
    half = np.full(3, 0.5)
    measured = {
        "single_label": metrics.single_label(
            {"rank": np.zeros(2), "loss": np.zeros(2), "confidence": np.ones(2)}
        ),
        "binary": metrics.binary({"logits": one, "targets": one}, half[:1]),
        "multi_label": metrics.multi_label({"logits": many, "targets": many}, half),
    }
    for task in tasks.TASKS:
        assert measured[task.name].keys() == {*task.shown, *task.others, "loss", "examples"}
