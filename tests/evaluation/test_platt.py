"""Calibration against scikit-learn's logistic regression."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from xecgnet_jax.evaluation.platt import LEAST_POSITIVES, Calibration, calibration_from_json, fit_calibration
from xecgnet_jax.evaluation.scores import evaluate


def drawn(recordings=400, shares=(0.3, 0.2, 0.02, 0.0), seed=0):
    """Labels, and probabilities that know of them but are too high for all classes."""
    rng = np.random.default_rng(seed)
    labels = rng.random((recordings, len(shares))) < shares
    scores = rng.normal(0, 1, labels.shape) + 1.5 * labels
    return labels.astype(np.uint8), expit(0.5 * scores + 1).astype(np.float32), rng.choice([1.0, 2.0], recordings)


def doubled(column_labels, scores, weights):
    """Each recording twice, as positive and as negative, weighted so that its label is Platt's target."""
    truth = column_labels.astype(bool)
    positives, negatives = weights[truth].sum(), weights[~truth].sum()
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return (
        np.concatenate([scores, scores]),
        np.repeat([1, 0], len(scores)),
        np.concatenate([weights * target, weights * (1 - target)]),
    )


def regression(features, labels, weights, intercept):
    fitted = LogisticRegression(C=1e12, fit_intercept=intercept, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
    return fitted.fit(features, labels, sample_weight=weights)


def test_a_class_has_the_slope_and_offset_of_scikit_learn():
    labels, found, weights = drawn()
    fitted = fit_calibration(labels, found, weights)
    scores = logit(found.astype(np.float64))
    for column in (0, 1):
        features, doubles, double_weights = doubled(labels[:, column], scores[:, column], weights)
        other = regression(features[:, None], doubles, double_weights, intercept=True)
        np.testing.assert_allclose(fitted.slopes[column], other.coef_[0, 0], rtol=1e-4)
        np.testing.assert_allclose(fitted.offsets[column], other.intercept_[0], rtol=1e-4)
    assert fitted.pooled.tolist() == [False, False, True, True]


def test_rare_classes_share_the_slope_of_a_common_fit():
    labels, found, weights = drawn()
    assert labels[:, 2].sum() < LEAST_POSITIVES and not labels[:, 3].any()
    fitted = fit_calibration(labels, found, weights)
    scores, rows, doubles, double_weights = logit(found.astype(np.float64)), [], [], []
    for column in range(4):
        features, of_class, weights_of_class = doubled(labels[:, column], scores[:, column], weights)
        rows.append(np.column_stack([features, np.tile(np.eye(4)[column], (len(features), 1))]))
        doubles.append(of_class)
        double_weights.append(weights_of_class)
    joined = (np.concatenate(parts) for parts in (rows, doubles, double_weights))
    other = regression(*joined, intercept=False).coef_[0]
    np.testing.assert_allclose(fitted.slopes[2:], other[0], rtol=1e-3)
    np.testing.assert_allclose(fitted.offsets[2:], other[3:], rtol=1e-3)
    assert fitted.slopes[2] not in fitted.slopes[:2]


def test_a_weight_counts_as_repeating_the_recording():
    labels, found, weights = drawn(shares=(0.3, 0.2))
    repeated = np.repeat(np.arange(len(labels)), weights.astype(int))
    for one, other in zip(
        fit_calibration(labels, found, weights), fit_calibration(labels[repeated], found[repeated]), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_right_probabilities_stay_and_wrong_ones_are_mended():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.02, 0.98, (60_000, 1))
    labels = rng.random(truth.shape) < truth
    right = fit_calibration(labels, truth)
    np.testing.assert_allclose([right.slopes[0], right.offsets[0]], [1, 0], atol=0.05)
    halved = expit(2 * logit(truth) - 1)
    np.testing.assert_allclose(fit_calibration(labels, halved).apply(halved), truth, atol=0.02)


@settings(deadline=None)
@given(st.data())
def test_numbers_are_finite_and_the_order_stays(data):
    recordings = data.draw(st.integers(1, 40))
    cells = st.lists(st.sampled_from([0.0, 1e-9, 0.25, 0.5, 0.9, 1.0]), min_size=recordings, max_size=recordings)
    found = np.array(data.draw(cells), np.float32)[:, None]
    labels = np.array(data.draw(st.lists(st.booleans(), min_size=recordings, max_size=recordings)))[:, None]
    fitted = fit_calibration(labels, found)
    after = fitted.apply(found)
    assert np.isfinite(fitted.slopes).all() and np.isfinite(fitted.offsets).all() and (fitted.slopes >= 0).all()
    assert (after > 0).all() and (after < 1).all()
    assert (np.diff(after[np.argsort(found[:, 0]), 0]) >= -1e-12).all()


def test_a_network_that_is_worse_than_a_guess_gives_the_share_of_the_class():
    found = np.linspace(0.1, 0.9, 200)[:, None]
    fitted = fit_calibration(found < 0.5, found)
    assert fitted.slopes[0] == 0
    np.testing.assert_allclose(fitted.apply(found), 0.5, atol=0.01)


def test_json_gives_it_back_and_refuses_what_is_damaged():
    fitted = fit_calibration(*drawn())
    again = calibration_from_json(json.loads(json.dumps(fitted.to_json())), 4)
    for one, other in zip(fitted, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for damaged in (fitted._replace(slopes=-fitted.slopes), fitted._replace(offsets=fitted.offsets * np.nan)):
        with pytest.raises(ValueError, match="calibration is damaged"):
            calibration_from_json(damaged.to_json(), 4)
    with pytest.raises(ValueError, match="calibration is damaged"):
        calibration_from_json(fitted.to_json(), 3)


def test_an_evaluation_scores_calibrated_probabilities_as_it_scores_raw_ones():
    labels, found, _ = drawn()
    calibrated = Calibration(np.full(4, 2.0), np.full(4, -1.5), np.zeros(4, bool)).apply(found)
    names, predictions = ("A", "B", "C", "D"), (found >= 0.5).astype(np.uint8)
    both = evaluate(labels, found, predictions, names, calibrated=calibrated, resamples=100)
    other = evaluate(labels, calibrated, predictions, names, resamples=100)
    assert other["calibrated"] is None
    for name, value in other["calibration"].items():
        assert both["calibrated"][name] == value
    for name, row in both["calibrated"]["per_class"].items():
        assert row["brier"] == other["per_class"][name]["brier"]
        assert row["intervals"]["calibration_error"] == other["per_class"][name]["intervals"]["calibration_error"]
    assert both["calibration"]["brier"] > both["calibrated"]["brier"]
