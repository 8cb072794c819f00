"""Every metric against scikit-learn, and the published ones from label sets that have them."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn import metrics as sklearn

from xecgnet_jax.evaluation.metrics import (
    LABEL_COUNTS,
    apply_thresholds,
    check_arrays,
    count_confusion,
    label_set_metrics,
    summarize,
)


@st.composite
def label_sets(draw):
    """(labels, predictions), both [R, C]; rows and columns without any label are common."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
    sparse = st.sampled_from([0, 0, 0, 1])
    return draw(arrays(np.uint8, shape, elements=sparse)), draw(arrays(np.uint8, shape, elements=sparse))


def by_sklearn(name, truth, predictions, **arguments):
    """A metric of scikit-learn's; NaN where it is undefined."""
    score = getattr(sklearn, f"{name}_score")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A single column would be taken for a binary problem: a second one of zeros, left out by `labels`, keeps it
        # multi-label.
        wide = [np.column_stack([one, np.zeros(len(one), np.uint8)]) for one in (truth, predictions)]
        arguments.setdefault("labels", list(range(truth.shape[1])))
        return score(*wide, zero_division=np.nan, **arguments)


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(label_sets())
def test_metrics_of_each_class_are_scikit_learns(sets):
    """F1 of a class that no recording has is undefined for us; scikit-learn says 0 where it is predicted."""
    labels, predictions = sets
    found, (hits, wrong, missed, *_) = label_set_metrics(*sets), count_confusion(*sets)
    precision, recall, f1 = (
        by_sklearn(name, labels, predictions, average=None) for name in ("precision", "recall", "f1")
    )
    close(found["precision"][0], precision)
    close(found["recall"][0], recall)
    close(found["f1"][0], np.where(labels.any(axis=0), f1, np.nan))
    np.testing.assert_array_equal((hits + missed)[0], labels.sum(axis=0))
    np.testing.assert_array_equal((hits + wrong)[0], predictions.sum(axis=0))


@settings(max_examples=150, deadline=None)
@given(label_sets())
def test_averages_are_scikit_learns(sets):
    """Macro averages are over the classes that some recording has."""
    labels, predictions = sets
    found = {name: values[0] for name, values in label_set_metrics(*sets).items()}
    present = np.flatnonzero(labels.any(axis=0)).tolist()
    for name in ("precision", "recall", "f1"):
        close(found[f"micro_{name}"], by_sklearn(name, labels, predictions, average="micro"))
        expected = by_sklearn(name, labels, predictions, average="macro", labels=present) if present else np.nan
        close(found[f"macro_{name}"], expected)
    if labels.shape[1] > 1:
        with_zeros = sklearn.f1_score(labels, predictions, average="macro", zero_division=0)
        close(found["macro_f1_undefined_as_0"], with_zeros)


@settings(max_examples=150, deadline=None)
@given(label_sets())
def test_subset_accuracy_is_scikit_learns_for_every_label_count(sets):
    labels, _ = sets
    accuracy, (*_, exact, recordings) = label_set_metrics(*sets)["subset_accuracy"][0], count_confusion(*sets)
    number = labels.sum(axis=1)
    masks = {"all": number >= 0, "single_label": number == 1, "multi_label": number > 1, "no_label": number == 0}
    assert tuple(masks) == LABEL_COUNTS
    for index, mask in enumerate(masks.values()):
        assert recordings[0, index] == mask.sum()
        if not mask.any():
            assert np.isnan(accuracy[index]) and exact[0, index] == 0
            continue
        # A column that never differs keeps single columns multi-label.
        wide = [np.column_stack([one[mask], np.zeros(mask.sum(), np.uint8)]) for one in sets]
        assert accuracy[index] == pytest.approx(sklearn.accuracy_score(*wide))
        assert exact[0, index] == sklearn.accuracy_score(*wide, normalize=False)


@settings(max_examples=50, deadline=None)
@given(label_sets())
def test_a_summary_is_json_without_nan(sets):
    summary = summarize(*sets)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_nothing_scored_is_nothing_defined():
    nothing = np.zeros((0, 9), np.uint8)
    assert set(summarize(nothing, nothing).values()) == {None}
    found = label_set_metrics(nothing, nothing)
    assert found.pop("macro_f1_undefined_as_0") == 0
    assert all(np.isnan(values).all() for values in found.values())


@pytest.mark.parametrize("shapes", [((3, 9), (3, 8)), ((3, 9), (4, 9)), ((9,), (9,))])
def test_labels_and_predictions_must_be_of_one_shape(shapes):
    with pytest.raises(ValueError, match="must all be"):
        count_confusion(*(np.zeros(shape) for shape in shapes))


@pytest.mark.parametrize("value", [-1, 2, 0.2, np.nan])
@pytest.mark.parametrize("name", ["labels", "predictions"])
def test_what_is_no_label_is_not_taken_for_true(name, value):
    arrays = {"labels": np.zeros((3, 2)), "predictions": np.ones((3, 2)), "probabilities": np.full((3, 2), 0.5)}
    check_arrays(**arrays, classes=2)
    arrays[name][1, 1] = value
    with pytest.raises(ValueError, match=f"{name} must be 0 or 1, not {value:g}"):
        check_arrays(**arrays, classes=2)


def test_a_threshold_forces_no_class_and_includes_itself():
    probabilities = np.array([[0.4999, 0.1, 0.0], [0.5, 0.49, 0.9], [0.2, 0.2, 0.2]])
    assert apply_thresholds(probabilities).tolist() == [[0, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert apply_thresholds(probabilities, 0.2).tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 1]]
    assert apply_thresholds(np.float32([[0.5, np.nextafter(np.float32(0.5), np.float32(0))]])).tolist() == [[1, 0]]


def multi_label_test_part(exact):
    """91 recordings with two or three classes, of which `exact` are predicted whole."""
    rng = np.random.default_rng(1004)
    labels = np.zeros((91, 9), np.uint8)
    for row in labels:
        row[rng.choice(9, rng.integers(2, 4), replace=False)] = 1
    predictions = labels.copy()
    for row in predictions[exact:]:
        wrong = rng.integers(9)
        row[wrong] = 1 - row[wrong]
    return labels, predictions


@pytest.mark.parametrize(("exact", "published"), [(69, "0.758"), (77, "0.846")])
def test_the_published_multi_label_subset_accuracies(exact, published):
    """Among 1,285 others, exact or not, that must not move the metric."""
    rng = np.random.default_rng(3)
    labels, predictions = multi_label_test_part(exact)
    single = np.eye(9, dtype=np.uint8)[rng.integers(0, 9, 1285)]
    guessed = np.where(rng.uniform(size=(1285, 1)) < 0.7, single, np.eye(9, dtype=np.uint8)[0])
    everything = np.vstack([labels, single]), np.vstack([predictions, guessed])
    *_, counted, recordings = count_confusion(*everything)
    assert (counted[0, 2], recordings[0, 2]) == (exact, 91)
    assert f"{summarize(*everything)['multi_label_subset_accuracy']:.3f}" == published
