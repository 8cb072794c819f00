"""Thresholds of the classes, chosen on a validation part.

The only caller that chooses is the training loop, which has the validation part at hand; the values are kept in the
checkpoint, and everything else reads them there. So none can be chosen on recordings that a run is tested with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from xecgnet_jax.evaluation.metrics import THRESHOLD

#: 0.5 for all; per class, with the best F1 of each class; per class, with the best subset accuracy of all.
ThresholdName = Literal["0.5", "best-f1", "best-subset"]
NAMES: tuple[ThresholdName, ...] = get_args(ThresholdName)

#: A class with fewer positives keeps 0.5: what does best on one recording would be predicted for half of all others.
LEAST_POSITIVES = 5
#: Passes over the classes after which the search for the best subset accuracy ends at the latest.
_PASSES = 10


class Thresholds(NamedTuple):
    """Probabilities from which on the classes are predicted.

    Attributes:
      name: how they were chosen.
      values: [C] float64.
    """

    name: ThresholdName
    values: np.ndarray

    def by_class(self, classes: Sequence[str]) -> dict[str, float]:
        """The value of each of the C classes."""
        return dict(zip(classes, self.values.tolist(), strict=True))


def half(classes: int) -> Thresholds:
    """The paper's: 0.5 for every class."""
    return Thresholds("0.5", np.full(classes, THRESHOLD))


def best_f1(labels: np.ndarray, probabilities: np.ndarray) -> Thresholds:
    """Per class, the threshold with the highest F1 on these recordings.

    Candidates lie halfway between neighboring probabilities, and at 0.5; of equals the one nearest to 0.5. A class
    with fewer than `LEAST_POSITIVES` keeps 0.5.

    Args:
      labels: [R, C], 0 or 1.
      probabilities: [R, C].
    """
    labels, probabilities = _checked(labels, probabilities)
    values = np.full(labels.shape[1], THRESHOLD)
    for column, truth in enumerate(labels.T):
        if truth.sum() >= LEAST_POSITIVES:
            found = probabilities[:, column]
            tried = _candidates(found)
            hits, rejected = _hits_and_rejected(found, truth, tried)
            wrong = (~truth).sum() - rejected
            values[column] = _nearest_best(tried, 2 * hits / (hits + wrong + truth.sum()))
    return Thresholds("best-f1", values)


def best_subset(labels: np.ndarray, probabilities: np.ndarray) -> Thresholds:
    """Thresholds with the highest subset accuracy that a search class by class finds on these recordings.

    Starts at 0.5 for all and at the thresholds of the best F1, changes one class at a time to where most recordings are
    exact, until no class can be bettered; of the two ends the better one, 0.5's of equals. No other set that differs in
    one class is better; one that differs in several may be. Classes with fewer than `LEAST_POSITIVES` keep 0.5.

    Args:
      labels: [R, C], 0 or 1.
      probabilities: [R, C].
    """
    labels, probabilities = _checked(labels, probabilities)
    starts = (np.full(labels.shape[1], THRESHOLD), best_f1(labels, probabilities).values)
    ends = [_climbed(labels, probabilities, start) for start in starts]
    exact = [_exact(labels, probabilities, end) for end in ends]
    return Thresholds("best-subset", ends[1] if exact[1] > exact[0] else ends[0])


def _climbed(labels: np.ndarray, probabilities: np.ndarray, start: np.ndarray) -> np.ndarray:
    values = start.copy()
    right = (probabilities >= values) == labels
    for _ in range(_PASSES):
        before = values.copy()
        for column in np.flatnonzero(labels.sum(axis=0) >= LEAST_POSITIVES):
            others = np.delete(right, column, axis=1).all(axis=1)  # exact but for this class
            found, truth = probabilities[others, column], labels[others, column]
            tried = _candidates(found)
            exact = np.add(*_hits_and_rejected(found, truth, tried))
            best = _nearest_best(tried, exact)
            if exact[tried == best][0] > right[others, column].sum():
                values[column] = best
                right[:, column] = (probabilities[:, column] >= best) == labels[:, column]
        if np.array_equal(values, before):
            break
    return values


def _exact(labels: np.ndarray, probabilities: np.ndarray, values: np.ndarray) -> int:
    return int(((probabilities >= values) == labels).all(axis=1).sum())


def _hits_and_rejected(found: np.ndarray, truth: np.ndarray, tried: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each threshold, how many true ones reach it and how many others do not: [n] each."""
    hits = truth.sum() - np.searchsorted(np.sort(found[truth]), tried)
    return hits, np.searchsorted(np.sort(found[~truth]), tried)


def _candidates(found: np.ndarray) -> np.ndarray:
    """Thresholds that tell apart all that can be told apart: [n] ascending."""
    steps = np.unique(found)
    # Above a probability of 1 there is still "never".
    ends = [] if not len(steps) else [steps[0] / 2, max((steps[-1] + 1) / 2, np.nextafter(steps[-1], 2))]
    return np.unique([*((steps[1:] + steps[:-1]) / 2), *ends, THRESHOLD])


def _nearest_best(tried: np.ndarray, quality: np.ndarray) -> float:
    """Of the best candidates the one nearest to 0.5."""
    best = tried[quality == quality.max()]
    return float(best[np.argmin(np.abs(best - THRESHOLD))])


def _checked(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels, bool), np.asarray(probabilities, np.float64)
    if labels.shape != probabilities.shape or labels.ndim != 2 or not len(labels):
        raise ValueError(f"labels {labels.shape} and probabilities {probabilities.shape} must both be [R, C], R > 0")
    return labels, probabilities
