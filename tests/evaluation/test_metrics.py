"""Every figure against scikit-learn, and the published ones from label sets that have them."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn import metrics as sklearn

from xecgnet_jax.data.labels import CLASSES
from xecgnet_jax.evaluation.metrics import add, apply_thresholds, count, micro_f1, summarize
from xecgnet_jax.evaluation.table import format_table


@st.composite
def label_sets(draw):
    """(labels, predictions), both [R, C]; rows and columns without any label are common."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
    sparse = st.sampled_from([0, 0, 0, 1])
    return draw(arrays(np.uint8, shape, elements=sparse)), draw(arrays(np.uint8, shape, elements=sparse))


def names(labels):
    return tuple(f"class {index}" for index in range(labels.shape[1]))


def by_sklearn(name, truth, predictions, **arguments):
    """A figure of scikit-learn's; NaN (None for us) where it is undefined."""
    score = getattr(sklearn, f"{name}_score")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A single column would be taken for a binary problem: a second one of zeros, left out by `labels`, keeps it
        # multi-label.
        wide = [np.column_stack([one, np.zeros(len(one), np.uint8)]) for one in (truth, predictions)]
        arguments.setdefault("labels", list(range(truth.shape[1])))
        return score(*wide, zero_division=np.nan, **arguments)


def same(ours, theirs):
    return ours is None if np.isnan(theirs) else ours == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(label_sets())
def test_figures_of_each_class_are_scikit_learns(sets):
    """F1 of a class that no recording has is undefined for us; scikit-learn says 0 where it is predicted."""
    labels, predictions = sets
    summary = summarize(count(*sets), names(labels))
    precision, recall, f1 = (
        by_sklearn(name, labels, predictions, average=None) for name in ("precision", "recall", "f1")
    )
    for index, row in enumerate(summary["per_class"].values()):
        assert same(row["precision"], precision[index])
        assert same(row["recall"], recall[index])
        if labels[:, index].any():
            assert same(row["f1"], f1[index])
        else:
            assert row["f1"] is None
        assert row["support"] == labels[:, index].sum()
        assert row["predicted"] == predictions[:, index].sum()


@settings(max_examples=150, deadline=None)
@given(label_sets())
def test_averages_are_scikit_learns(sets):
    """Macro averages are over the classes that some recording has."""
    labels, predictions = sets
    counts = count(*sets)
    summary = summarize(counts, names(labels))
    present = np.flatnonzero(labels.any(axis=0)).tolist()
    for name in ("precision", "recall", "f1"):
        assert same(summary["micro"][name], by_sklearn(name, labels, predictions, average="micro"))
        if present:
            expected = by_sklearn(name, labels, predictions, average="macro", labels=present)
            assert same(summary["macro"][name], expected)
        else:
            assert summary["macro"][name] is None
    assert np.isnan(micro_f1(counts)) if summary["micro"]["f1"] is None else micro_f1(counts) == summary["micro"]["f1"]
    assert summary["micro"]["support"] == labels.sum()
    assert summary["macro"]["classes"] == len(present)
    with_zeros = (
        sklearn.f1_score(labels, predictions, average="macro", zero_division=0) if labels.shape[1] > 1 else None
    )
    if with_zeros is not None:
        assert summary["macro_f1_undefined_as_0"] == pytest.approx(with_zeros)


@settings(max_examples=150, deadline=None)
@given(label_sets())
def test_subset_accuracy_is_scikit_learns_in_every_group(sets):
    labels, _ = sets
    summary = summarize(count(*sets), names(labels))
    number = labels.sum(axis=1)
    groups = {"all": number >= 0, "single_label": number == 1, "multi_label": number > 1, "no_label": number == 0}
    assert list(summary["subset_accuracy"]) == list(groups)
    for group, members in groups.items():
        row = summary["subset_accuracy"][group]
        assert row["recordings"] == members.sum()
        if not members.any():
            assert row == {"accuracy": None, "exact": 0, "recordings": 0}
            continue
        # A column that never differs keeps single columns multi-label.
        wide = [np.column_stack([one[members], np.zeros(members.sum(), np.uint8)]) for one in sets]
        assert row["accuracy"] == pytest.approx(sklearn.accuracy_score(*wide))
        assert row["exact"] == sklearn.accuracy_score(*wide, normalize=False)


@settings(max_examples=100, deadline=None)
@given(label_sets(), st.data())
def test_counts_of_parts_add_up(sets, data):
    labels, predictions = sets
    cut = data.draw(st.integers(0, len(labels)))
    parts = add(count(labels[:cut], predictions[:cut]), count(labels[cut:], predictions[cut:]))
    for whole, sum_ in zip(count(labels, predictions), parts, strict=True):
        np.testing.assert_array_equal(whole, sum_)


@settings(max_examples=50, deadline=None)
@given(label_sets())
def test_a_summary_is_json_without_nan(sets):
    summary = summarize(count(*sets), names(sets[0]))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_nothing_scored_is_nothing_defined():
    nothing = np.zeros((0, 9), np.uint8)
    summary = summarize(count(nothing, nothing), CLASSES)
    assert summary["subset_accuracy"]["all"] == {"accuracy": None, "exact": 0, "recordings": 0}
    assert summary["micro"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert summary["macro"] == {"precision": None, "recall": None, "f1": None, "classes": 0}


@pytest.mark.parametrize("shapes", [((3, 9), (3, 8)), ((3, 9), (4, 9)), ((9,), (9,))])
def test_labels_and_predictions_must_be_of_one_shape(shapes):
    with pytest.raises(ValueError, match="must both be"):
        count(*(np.zeros(shape) for shape in shapes))


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
    """Among 1,285 others, exact or not, that must not move the figure."""
    rng = np.random.default_rng(3)
    labels, predictions = multi_label_test_part(exact)
    single = np.eye(9, dtype=np.uint8)[rng.integers(0, 9, 1285)]
    guessed = np.where(rng.uniform(size=(1285, 1)) < 0.7, single, np.eye(9, dtype=np.uint8)[0])
    counts = add(count(labels, predictions), count(single, guessed))
    row = summarize(counts, CLASSES)["subset_accuracy"]["multi_label"]
    assert (row["exact"], row["recordings"]) == (exact, 91)
    assert f"{row['accuracy']:.3f}" == published


TABLE = """\
a small case

class      precision    recall        F1   support
AF             0.500     0.500     0.500         2
Normal         1.000     1.000     1.000         2
STE                –     0.000     0.000         1
micro          0.750     0.600     0.667         5
macro          0.750     0.500     0.500    3 of 3

subset accuracy                    exact      of
  all recordings           0.250       1       4
  one class                0.333       1       3
  several classes          0.000       0       1
  none of the classes          –       0       0

–: undefined, for want of such recordings or predictions; macro averages leave it out."""


def test_the_table_shows_the_figures_and_explains_its_dashes():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]])
    predictions = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    assert format_table(summarize(count(labels, predictions), ("AF", "Normal", "STE")), "a small case") == TABLE


def test_a_table_without_dashes_needs_no_explanation():
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    assert "–" not in format_table(summarize(count(labels, labels), ("AF", "PVC")), "all right")
