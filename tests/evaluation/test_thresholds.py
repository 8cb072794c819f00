"""Thresholds against all that could have been chosen."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import LEAST_POSITIVES, best_f1, best_subset, half

#: Few values, so that many probabilities are equal, 0 and 1 among them.
LEVELS = [0.0, 0.1, 0.3, 0.5, 0.5000001, 0.7, 1.0]


@st.composite
def scored(draw, classes=3):
    recordings = draw(st.integers(1, 20))
    size = recordings * classes
    labels = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    found = draw(st.lists(st.sampled_from(LEVELS), min_size=size, max_size=size))
    return np.reshape(labels, (recordings, classes)), np.reshape(found, (recordings, classes)).astype(np.float32)


def every_threshold(found):
    """One below, between and above all probabilities."""
    steps = np.unique(found)
    return [-1.0, *((steps[1:] + steps[:-1]) / 2), 2.0]


@settings(deadline=None)
@given(scored())
def test_no_threshold_of_a_class_has_a_better_f1(both):
    labels, found = both
    chosen = best_f1(labels, found)
    assert chosen.name == "best-f1"
    for column, value in enumerate(chosen.values):
        truth = labels[:, column]
        if truth.sum() < LEAST_POSITIVES:
            assert value == 0.5
            continue
        scores = [
            f1_score(truth, found[:, column] >= other, zero_division=0) for other in every_threshold(found[:, column])
        ]
        assert f1_score(truth, found[:, column] >= value, zero_division=0) == pytest.approx(max(scores))


def exact(labels, found, values):
    return int(np.all(apply_thresholds(found, values) == labels, axis=1).sum())


@settings(deadline=None)
@given(scored())
def test_no_change_of_one_class_makes_more_recordings_exact(both):
    labels, found = both
    chosen = best_subset(labels, found)
    reached = exact(labels, found, chosen.values)
    assert reached >= exact(labels, found, half(3).values)
    assert reached >= exact(labels, found, best_f1(labels, found).values)
    for column in range(3):
        if labels[:, column].sum() < LEAST_POSITIVES:
            assert chosen.values[column] == 0.5
            continue
        for other in every_threshold(found[:, column]):
            values = chosen.values.copy()
            values[column] = other
            assert exact(labels, found, values) <= reached


def test_the_search_finds_the_best_of_all_sets():
    """On 200 recordings whose best thresholds lie far from 0.5, against every set of three."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (200, 3))
    found = np.clip(np.array([0.2, 0.5, 0.8]) + 0.3 * (labels - 0.5) + 0.1 * rng.standard_normal((200, 3)), 0, 1)
    found = np.round(found, 1)
    every = itertools.product(*(every_threshold(column) for column in found.T))
    assert exact(labels, found, best_subset(labels, found).values) == max(exact(labels, found, v) for v in every)


def of_one_class(negatives, positives):
    """[10, 1] labels and probabilities: five of each."""
    return np.repeat([[0], [1]], 5, axis=0), np.repeat([[negatives], [positives]], 5, axis=0)


def test_of_equals_the_one_nearest_to_a_half():
    assert best_f1(*of_one_class(0.2, 0.9)).values == [0.5]
    assert best_f1(*of_one_class(0.6, 0.9)).values == [0.75]
    assert best_subset(*of_one_class(0.2, 0.9)).values == [0.5]
    assert best_subset(*of_one_class(0.6, 0.9)).values == [0.75]


def test_a_class_with_few_positives_keeps_a_half():
    """One recording with the class, whose probability is no higher than that of a hundred others."""
    labels, found = np.zeros((101, 1), int), np.full((101, 1), 0.25)
    labels[50] = 1
    for choose in (best_f1, best_subset):
        assert choose(labels, found).values == [0.5]
        labels_of_four, four = of_one_class(0.6, 0.9)
        assert choose(labels_of_four[1:9], four[1:9]).values == [0.5]


@pytest.mark.parametrize("choose", [best_f1, best_subset])
def test_shapes_that_do_not_fit_are_refused(choose):
    with pytest.raises(ValueError, match="must all be"):
        choose(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="no recordings"):
        choose(np.zeros((0, 3)), np.zeros((0, 3)))
