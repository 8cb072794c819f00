"""Figures of weighted recordings: the point figures at weight 1, the bootstrap's at each resample's counts.

Every function takes weights [B, R], how often each recording counts in each of B resamples, and gives arrays that begin
with B; what it gives is what one would compute from the repeated rows. Undefined is NaN. A macro average is over the
classes for which its figure is defined at weight 1; a resample that loses one of them has no macro average.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xecgnet_jax.evaluation.calibration import calibration_figures
from xecgnet_jax.evaluation.metrics import groups_of, ratio

#: Figures by class, each [B, C].
BY_CLASS = ("precision", "recall", "f1", "auroc", "average_precision", "brier", "calibration_error")


def decision_figures(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """What depends on the predicted label sets only.

    Args:
      labels, predictions: [R, C], 0 or 1.
      weights: [B, R], at least 0.

    Returns:
      "subset_accuracy" [B, 4] by `metrics.GROUPS`; "precision", "recall" and "f1" [B, C]; the same with "micro_" and
      "macro_" before, "macro_f1_undefined_as_0", "hamming_loss", "samples_f1", "samples_f1_empty_as_0" [B].

      samples F1 is the mean over recordings of 2 |true ∩ predicted| / (|true| + |predicted|). A recording with none of
      the classes for which none is predicted counts 1 (it is predicted whole); "samples_f1_empty_as_0" counts it 0, as
      scikit-learn does unless told otherwise.
    """
    labels, predictions, weights = np.asarray(labels, bool), np.asarray(predictions, bool), _floats(weights)
    hits = weights @ (labels & predictions)
    wrong = weights @ (~labels & predictions)
    missed = weights @ (labels & ~predictions)
    support = hits + missed
    precision, recall = ratio(hits, hits + wrong), ratio(hits, support)
    f1 = np.where(support > 0, ratio(2 * hits, 2 * hits + wrong + missed), np.nan)
    total = [counts.sum(axis=1) for counts in (hits, wrong, missed)]
    true, found = np.any(labels, axis=0), np.any(predictions, axis=0)

    groups = groups_of(labels)
    exact = np.all(labels == predictions, axis=1)
    members = (labels | predictions).sum(axis=1)
    overlap = ratio(2 * (labels & predictions).sum(axis=1), labels.sum(axis=1) + predictions.sum(axis=1))
    recordings = weights.sum(axis=1)
    return {
        "subset_accuracy": ratio(weights @ (groups & exact).T, weights @ groups.T),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "micro_precision": ratio(total[0], total[0] + total[1]),
        "micro_recall": ratio(total[0], total[0] + total[2]),
        "micro_f1": ratio(2 * total[0], 2 * total[0] + total[1] + total[2]),
        "macro_precision": _macro(precision, true & found),
        "macro_recall": _macro(recall, true),
        "macro_f1": _macro(f1, true),
        "macro_f1_undefined_as_0": np.nan_to_num(f1).mean(axis=1),
        "hamming_loss": ratio(weights @ np.mean(labels != predictions, axis=1), recordings),
        "samples_f1": ratio(weights @ np.where(members > 0, overlap, 1.0), recordings),
        "samples_f1_empty_as_0": ratio(weights @ np.where(members > 0, overlap, 0.0), recordings),
    }


def ranking_figures(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """What depends on the order of the probabilities within a class only.

    AUROC is the share of pairs of a recording with the class and one without it in which the former has the higher
    probability, equal ones as half a pair. Average precision is the sum over thresholds of precision times the recall
    gained there, without interpolation. Both as in scikit-learn.

    Args:
      labels: [R, C], 0 or 1.
      probabilities: [R, C].
      weights: [B, R].

    Returns:
      "auroc" and "average_precision" [B, C], NaN where no recording has the class, AUROC also where all have it;
      "macro_auroc" and "macro_average_precision" [B].
    """
    labels, by_recording = np.asarray(labels, bool), np.ascontiguousarray(_floats(weights).T)
    columns = [_ranking(labels[:, c], np.asarray(probabilities)[:, c], by_recording) for c in range(labels.shape[1])]
    auroc, precision = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
    true, always = np.any(labels, axis=0), np.all(labels, axis=0)
    return {
        "auroc": auroc,
        "average_precision": precision,
        "macro_auroc": _macro(auroc, true & ~always),
        "macro_average_precision": _macro(precision, true),
    }


def _ranking(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(AUROC [B], average precision [B]) of one class; weights are [R, B] here, so that sums run along rows."""
    order = np.argsort(-probabilities, kind="stable")
    first = np.flatnonzero(np.diff(probabilities[order], prepend=np.inf))  # recordings of one probability stay together
    above = np.cumsum(np.add.reduceat(weights[order], first, axis=0), axis=0)  # so many from each threshold on
    with_class = order[labels[order]]
    if not len(with_class):
        undefined = np.full(weights.shape[1], np.nan)
        return undefined, undefined
    # Both figures are sums over thresholds at which recordings of the class come in: mostly few.
    threshold = np.searchsorted(first, np.flatnonzero(labels[order]), side="right") - 1
    own = np.flatnonzero(np.diff(threshold, prepend=-1))
    gained = np.add.reduceat(weights[with_class], own, axis=0)
    hits, threshold = np.cumsum(gained, axis=0), threshold[own]
    all_hits, everything = hits[-1], above[-1]
    before = np.where((threshold > 0)[:, None], above[threshold - 1], 0.0)
    wrong_before = before - (hits - gained)
    wrong = above[threshold] - hits
    pairs = np.sum(gained * (everything - all_hits - (wrong_before + wrong) / 2), axis=0)
    precision = np.divide(hits, above[threshold], out=np.zeros_like(hits), where=above[threshold] > 0)
    return ratio(pairs, all_hits * (everything - all_hits)), ratio(np.sum(gained * precision, axis=0), all_hits)


def figures(
    labels: np.ndarray, probabilities: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Those of decisions, ranking and calibration together; arguments as there."""
    return (
        decision_figures(labels, predictions, weights)
        | ranking_figures(labels, probabilities, weights)
        | calibration_figures(labels, probabilities, weights)
    )


def _floats(weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights, np.float64)


def _macro(values: np.ndarray, members: Any) -> np.ndarray:
    """[B, C] → [B], the mean over the members; NaN where one of them is."""
    return values[:, members].mean(axis=1) if members.any() else np.full(len(values), np.nan)
