"""Thresholds of the classes, chosen on a validation part.

The only caller that chooses is the training loop, which has the validation part at hand; the values are kept in the
checkpoint, and everything else reads them there. So none can be chosen on recordings that a run is tested with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from xecgnet_jax.evaluation.metrics import THRESHOLD, Floats, apply_thresholds, check_shapes
from xecgnet_jax.evaluation.platt import Calibration

#: 0.5 for all; per class, with the best F1 of each class; per class, with the best subset accuracy of all.
ThresholdName = Literal["0.5", "best-f1", "best-subset"]
NAMES: tuple[ThresholdName, ...] = get_args(ThresholdName)
#: A class with fewer positives keeps 0.5: a threshold that suits one recording may let half of all others pass.
LEAST_POSITIVES = 5
#: Passes over the classes after which the search for the best subset accuracy ends at the latest.
_PASSES = 10


class Thresholds(NamedTuple):
    """The probabilities, `values` [C], from which on the classes are predicted; `name` says how they were chosen."""

    name: ThresholdName
    values: Floats

    def for_all_classes(self, columns: np.ndarray, classes: int) -> Thresholds:
        """Returns the thresholds of all classes, 0.5 for those that are not in `columns`, where these are."""
        values = np.full(classes, THRESHOLD)
        values[columns] = self.values
        return self._replace(values=values)

    def pick(self, columns: np.ndarray) -> Thresholds:
        """Returns those of the classes at `columns`."""
        return self._replace(values=self.values[columns])

    def by_class(self, classes: Sequence[str]) -> dict[str, float]:
        """Returns the value of each of the C classes."""
        return dict(zip(classes, self.values.tolist(), strict=True))

    def to_json(self, classes: Sequence[str], calibration: Calibration | None) -> dict[str, Any]:
        """Returns "name", "values" by class, and "calibrated", the same on the calibrated scale, or None."""
        after = (
            None if calibration is None else dict(zip(classes, calibration.apply(self.values).tolist(), strict=True))
        )
        return {"name": self.name, "values": self.by_class(classes), "calibrated": after}


def half(classes: int) -> Thresholds:
    """Returns the paper's thresholds: 0.5 for every class."""
    return Thresholds("0.5", np.full(classes, THRESHOLD))


def best_f1(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> Thresholds:
    """Returns, per class, the threshold with the highest F1 on these recordings; arguments [R, C], weights [R].

    The thresholds tried lie halfway between neighboring probabilities, and at 0.5; among equals, the one nearest to 0.5
    is taken. A class with fewer than `LEAST_POSITIVES` keeps 0.5.
    """
    labels, probabilities, weights = _as_arrays(labels, probabilities, weights)
    values = np.full(labels.shape[1], THRESHOLD)
    for column in np.flatnonzero(labels.sum(axis=0) >= LEAST_POSITIVES):
        truth = labels[:, column]
        tried, hits, rejected = _try_thresholds(probabilities[:, column], truth, weights)
        wrong = weights[~truth].sum() - rejected
        values[column] = _nearest_best(tried, 2 * hits / np.maximum(hits + wrong + weights[truth].sum(), 1e-12))
    return Thresholds("best-f1", values)


def best_subset(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> Thresholds:
    """Returns the thresholds with the highest subset accuracy that a search finds on these recordings, [R, C].

    It starts at 0.5 for all classes, and again at the thresholds of the best F1, and changes one class at a time to
    where most recordings are exact, until no class can be improved. The better of the two ends is taken, among equals
    that from 0.5. No other set that differs in one class is better; one that differs in several may be. Classes with
    fewer than `LEAST_POSITIVES` keep 0.5.
    """
    labels, probabilities, weights = _as_arrays(labels, probabilities, weights)
    starts = (np.full(labels.shape[1], THRESHOLD), best_f1(labels, probabilities, weights).values)
    ends = [_climb(labels, probabilities, weights, start) for start in starts]
    best = max(ends, key=lambda end: weights @ np.all(apply_thresholds(probabilities, end) == labels, axis=1))
    return Thresholds("best-subset", best)


def _climb(labels: npt.NDArray[np.bool_], probabilities: Floats, weights: Floats, start: Floats) -> Floats:
    """Returns the thresholds at which the search of `best_subset` ends."""
    values = start.copy()
    right = (probabilities >= values) == labels
    for _ in range(_PASSES):
        before = values.copy()
        for column in np.flatnonzero(labels.sum(axis=0) >= LEAST_POSITIVES):
            others = np.delete(right, column, axis=1).all(axis=1)  # exact but for this class
            chosen = probabilities[others, column], labels[others, column], weights[others]
            tried, hits, rejected = _try_thresholds(*chosen)
            best = _nearest_best(tried, hits + rejected)
            if (hits + rejected).max() > weights[others] @ right[others, column]:
                values[column] = best
                right[:, column] = (probabilities[:, column] >= best) == labels[:, column]
        if np.array_equal(values, before):
            break
    return values


def _try_thresholds(
    probabilities: Floats, truth: npt.NDArray[np.bool_], weights: Floats
) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Returns all thresholds that differ in what they predict, and their hits and right rejections: [n] each.

    Hits are the weight of recordings with the class that reach the threshold, right rejections that of those without it
    that do not.
    """
    steps = np.unique(probabilities)
    # Above a probability of 1 there is still "never".
    ends = [] if not len(steps) else [steps[0] / 2, max((steps[-1] + 1) / 2, np.nextafter(steps[-1], 2))]
    tried = np.unique([*((steps[1:] + steps[:-1]) / 2), *ends, THRESHOLD])
    hits = weights[truth].sum() - _weight_below(tried, probabilities[truth], weights[truth])
    return tried, hits, _weight_below(tried, probabilities[~truth], weights[~truth])


def _weight_below(tried: Floats, probabilities: Floats, weights: Floats) -> Floats:
    """Returns the weight of probabilities below each threshold."""
    order = np.argsort(probabilities)
    return np.append(0.0, np.cumsum(weights[order]))[np.searchsorted(probabilities[order], tried)]


def _nearest_best(tried: Floats, quality: np.ndarray) -> float:
    """Returns, of the thresholds with the best quality, the one nearest to 0.5."""
    best = tried[quality == quality.max()]
    return float(best[np.argmin(np.abs(best - THRESHOLD))])


def _as_arrays(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None
) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    labels, probabilities = np.asarray(labels, bool), np.asarray(probabilities, np.float64)
    check_shapes(labels=labels, probabilities=probabilities)
    if not len(labels):
        raise ValueError("no recordings to choose thresholds on")
    return labels, probabilities, np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
