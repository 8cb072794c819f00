"""Weighted metrics against scikit-learn, and a loop over bins, on the repeated rows."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn

from xecgnet_jax.evaluation.calibration import BINS, bins_of, chance_errors, reliability
from xecgnet_jax.evaluation.scores import all_metrics

BY_CLASS = ("precision", "recall", "f1", "auroc", "average_precision", "brier", "calibration_error")


@st.composite
def weighted(draw):
    """(labels, probabilities, predictions) [R, C] and weights [3, R]: the first row 1, the others with many zeros.

    Probabilities have ties, edges of bins, 0 and 1 among them; predictions owe them nothing.
    """
    shape = draw(st.integers(1, 14)), draw(st.integers(2, 4))
    bits = arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 1]))
    probabilities = draw(arrays(np.float64, shape, elements=st.sampled_from([0, 0.05, 0.1, 0.3, 0.31, 0.7, 0.99, 1])))
    weights = draw(arrays(np.int64, (3, shape[0]), elements=st.integers(0, 3)))
    weights[0] = 1
    return draw(bits), probabilities, draw(bits), weights


def repeated(arrays_, weights):
    return [np.repeat(array, weights, axis=0) for array in arrays_]


def quiet(function, *arguments, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **keywords)


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def expected_of_class(truth, probabilities, predictions):
    """Metrics of one class by scikit-learn; NaN where undefined."""
    nothing = dict.fromkeys(BY_CLASS, np.nan)
    if len(truth) and predictions.any():
        nothing["precision"] = sklearn.precision_score(truth, predictions, zero_division=0)
    if not truth.any():
        return nothing
    mixed = not truth.all()
    return nothing | {
        "recall": sklearn.recall_score(truth, predictions, zero_division=0),
        "f1": sklearn.f1_score(truth, predictions, zero_division=0),
        "auroc": sklearn.roc_auc_score(truth, probabilities) if mixed else np.nan,
        "average_precision": sklearn.average_precision_score(truth, probabilities),
        "brier": np.mean((probabilities - truth) ** 2) if not mixed else sklearn.brier_score_loss(truth, probabilities),
        "calibration_error": calibration_error(truth, probabilities),
    }


def calibration_error(truth, probabilities):
    """Bin by bin, by its definition."""
    total = 0.0
    for index in range(BINS):
        low, high = index / BINS, (index + 1) / BINS
        members = (probabilities >= low) & ((probabilities < high) | (index == BINS - 1))
        if members.any():
            total += members.mean() * abs(probabilities[members].mean() - truth[members].mean())
    return total


@settings(max_examples=60, deadline=None)
@given(weighted())
def test_metrics_of_each_class_are_scikit_learns_on_the_repeated_rows(case):
    *sample, weights = case
    found = all_metrics(*sample, weights)
    for row, counts in enumerate(weights):
        labels, probabilities, predictions = repeated(sample, counts)
        for c in range(labels.shape[1]):
            expected = quiet(expected_of_class, labels[:, c], probabilities[:, c], predictions[:, c])
            for name, value in expected.items():
                close(found[name][row, c], value)


@settings(max_examples=60, deadline=None)
@given(weighted())
def test_overall_metrics_are_scikit_learns_on_the_repeated_rows(case):
    *sample, weights = case
    found = all_metrics(*sample, weights)
    for row, counts in enumerate(weights):
        labels, probabilities, predictions = repeated(sample, counts)
        mine = {name: values[row] for name, values in found.items()}
        if not len(labels):
            assert all(np.isnan(mine[name]) for name in ("hamming_loss", "samples_f1", "micro_f1", "overall_brier"))
            continue
        close(mine["hamming_loss"], sklearn.hamming_loss(labels, predictions))
        for name, empty in (("samples_f1", 1.0), ("samples_f1_empty_as_0", 0.0)):
            close(mine[name], sklearn.f1_score(labels, predictions, average="samples", zero_division=empty))
        for name in ("precision", "recall", "f1"):
            score = getattr(sklearn, f"{name}_score")
            close(mine[f"micro_{name}"], score(labels, predictions, average="micro", zero_division=np.nan))
        close(mine["overall_brier"], np.mean((probabilities - labels) ** 2))
        close(mine["overall_calibration_error"], calibration_error(labels.ravel(), probabilities.ravel()))
        number = labels.sum(axis=1)
        for index, members in enumerate((number >= 0, number == 1, number > 1, number == 0)):
            exact = sklearn.accuracy_score(labels[members], predictions[members]) if members.any() else np.nan
            close(mine["subset_accuracy"][index], exact)


@settings(max_examples=60, deadline=None)
@given(weighted())
def test_a_macro_average_is_over_the_classes_defined_at_weight_1_or_undefined(case):
    found = all_metrics(*case[:3], case[3])
    for name in ("precision", "recall", "f1", "auroc", "average_precision"):
        classes = found[name]
        if name == "precision":
            classes = np.where(case[0].any(axis=0), classes, np.nan)
        members = ~np.isnan(classes[0])
        expected = classes[:, members].mean(axis=1) if members.any() else np.full(len(classes), np.nan)
        close(found[f"macro_{name}"], expected)


@settings(max_examples=30, deadline=None)
@given(weighted())
def test_without_weights_every_recording_counts_once(case):
    *sample, weights = case
    ones = all_metrics(*sample, weights[:1])
    for name, values in all_metrics(*sample).items():
        np.testing.assert_array_equal(values, ones[name])


def test_probabilities_of_the_network_are_ranked_as_they_are():
    """Float32 with hardly any ties, in the numbers of a test part."""
    rng = np.random.default_rng(5)
    labels = (rng.uniform(size=(700, 3)) < 0.2).astype(np.uint8)
    probabilities = rng.beta(1 + labels, 2).astype(np.float32)
    weights = rng.multinomial(700, np.full(700, 1 / 700), size=4)
    found = all_metrics(labels, probabilities, probabilities > 0.5, weights)
    for row, counts in enumerate(weights):
        for c in range(3):
            close(
                found["auroc"][row, c], sklearn.roc_auc_score(labels[:, c], probabilities[:, c], sample_weight=counts)
            )
            expected = sklearn.average_precision_score(labels[:, c], probabilities[:, c], sample_weight=counts)
            close(found["average_precision"][row, c], expected)


def test_an_edge_belongs_to_the_bin_above_and_1_to_the_last():
    edges = np.array([0, 0.0999, 0.1, 0.3, 0.6, 0.7, 0.9, 1])
    assert bins_of(edges).tolist() == [0, 0, 1, 3, 6, 7, 9, 9]


def test_right_probabilities_have_the_error_that_chance_gives_them():
    """The mean of many draws is what other draws have; wrong probabilities have more."""
    rng = np.random.default_rng(6)
    probabilities = rng.uniform(size=(400, 3))
    by_class, overall = chance_errors(probabilities, seed=1)
    drawn = [(rng.uniform(size=probabilities.shape) < probabilities).astype(np.uint8) for _ in range(60)]
    weights = np.ones((1, 400))
    found = [all_metrics(labels, probabilities, labels, weights) for labels in drawn]
    means = np.mean([one["calibration_error"][0] for one in found], axis=0)
    np.testing.assert_allclose(means, by_class.mean(axis=0), rtol=0.1)
    assert np.mean([one["overall_calibration_error"] for one in found]) == pytest.approx(overall.mean(), rel=0.15)
    wrong = all_metrics(drawn[0], np.clip(probabilities * 1.5, 0, 1), drawn[0], weights)
    assert wrong["overall_calibration_error"][0] > np.quantile(overall, 0.99)


def test_the_bins_of_the_reliability_table_hold_every_pair():
    rng = np.random.default_rng(7)
    probabilities = rng.uniform(0, 0.85, size=(50, 4)).astype(np.float32)
    labels = rng.integers(0, 2, size=(50, 4))
    rows = reliability(labels, probabilities)
    assert sum(row["pairs"] for row in rows) == 200
    assert rows[9] == {"from": 0.9, "to": 1.0, "pairs": 0, "probability": None, "true": None}
    error = sum(row["pairs"] / 200 * abs(row["probability"] - row["true"]) for row in rows if row["pairs"])
    assert error == pytest.approx(calibration_error(labels.ravel(), probabilities.ravel().astype(float)), abs=1e-9)
