"""Probabilities that say how often a class is present: one slope and one offset per class (Platt scaling).

J. Platt, Probabilistic outputs for support vector machines, in Advances in Large Margin Classifiers (MIT Press, 1999).
As for thresholds, the only caller that fits is the training loop, on the validation part; checkpoints keep the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from xecgnet_jax.evaluation.metrics import Floats, check_shapes

#: A class with fewer positives takes the slope that all classes have in common.
LEAST_POSITIVES = 20
#: Raw probabilities are kept this far from 0 and 1, where their logit is infinite.
_EDGE = 1e-7


class Calibration(NamedTuple):
    """Raw → calibrated probabilities of C classes: logit(calibrated) = slope · logit(raw) + offset.

    Attributes:
      slopes: [C], 0 or more, so that the order of the probabilities within a class stays.
      offsets: [C].
      pooled: [C] bool, classes whose slope is the one that all classes have in common.
    """

    slopes: Floats
    offsets: Floats
    pooled: npt.NDArray[np.bool_]

    def apply(self, probabilities: np.ndarray) -> Floats:
        """Returns calibrated probabilities of raw ones, both [.., C]; also of thresholds."""
        raw = np.clip(np.asarray(probabilities, np.float64), _EDGE, 1 - _EDGE)
        return expit(self.slopes * logit(raw) + self.offsets)

    def for_all_classes(self, columns: np.ndarray, classes: int) -> Calibration:
        """Returns the calibration of all classes, where this one is of those at `columns`; the others stay raw."""
        others = Calibration(np.ones(classes), np.zeros(classes), np.ones(classes, bool))
        for whole, own in zip(others, self, strict=True):
            whole[columns] = own
        return others

    def to_json(self) -> dict[str, Any]:
        """Returns lists by name."""
        return {name: value.tolist() for name, value in self._asdict().items()}


def calibration_from_json(value: Any, classes: int) -> Calibration:
    """Inverse of `Calibration.to_json`. Raises ValueError where it is not of so many classes."""
    kinds = {"slopes": np.float64, "offsets": np.float64, "pooled": np.bool_}
    found = Calibration(**{name: np.asarray(value[name], kind) for name, kind in kinds.items()})
    if any(one.shape != (classes,) or not np.isfinite(one).all() for one in found) or (found.slopes < 0).any():
        raise ValueError("the calibration is damaged")
    return found


def fit_calibration(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> Calibration:
    """Returns the slopes and offsets with the least weighted cross-entropy; labels, probabilities [R, C], weights [R].

    The targets are Platt's: (P + 1) / (P + 2) for the P positives of a class and 1 / (N + 2) for its N negatives, so
    that a class that the network never confuses, or never meets, keeps finite numbers. A class with fewer than
    `LEAST_POSITIVES` takes the slope of a fit of all classes together, one slope with an offset for each class.
    """
    labels, probabilities = np.asarray(labels, bool), np.asarray(probabilities, np.float64)
    check_shapes(labels=labels, probabilities=probabilities)
    if not len(labels):
        raise ValueError("no recordings to calibrate on")
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    scores = logit(np.clip(probabilities, _EDGE, 1 - _EDGE))
    positives = weights @ labels
    negatives = weights.sum() - positives
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    pooled = labels.sum(axis=0) < LEAST_POSITIVES
    slopes, offsets = np.ones(labels.shape[1]), np.zeros(labels.shape[1])
    if pooled.any():
        slope, common = _fit(scores, targets, weights)
        slopes[pooled], offsets[pooled] = slope, common[pooled]
    for column in np.flatnonzero(~pooled):
        slopes[column], (offsets[column],) = _fit(scores[:, [column]], targets[:, [column]], weights)
    return Calibration(slopes, offsets, pooled)


def _fit(scores: Floats, targets: Floats, weights: Floats) -> tuple[float, Floats]:
    """Returns one slope ≥ 0, and the offset of each column, of the logistic regression of targets on scores [R, C]."""
    shares = np.broadcast_to((weights / weights.sum())[:, None], scores.shape)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, offsets = parameters[0], parameters[1:]
        values = slope * scores + offsets
        excess = shares * (expit(values) - targets)
        total = np.sum(shares * (np.logaddexp(0, values) - targets * values))
        return float(total), np.concatenate([[np.sum(excess * scores)], excess.sum(axis=0)])

    start = np.concatenate([[1.0], np.zeros(scores.shape[1])])
    bounds = [(0.0, None)] + [(None, None)] * scores.shape[1]
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return float(found[0]), found[1:]
