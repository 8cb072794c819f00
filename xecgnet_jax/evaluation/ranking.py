"""How well probabilities order the recordings of a class: AUROC and average precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xecgnet_jax.evaluation.metrics import Floats, as_weights, macro_average, ratio


def ranking_metrics(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Floats]:
    """Returns the metrics that depend on the order of the probabilities within a class only; weights as in `metrics`.

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
    labels, probabilities = np.asarray(labels, bool), np.asarray(probabilities)
    by_recording = np.ascontiguousarray(as_weights(weights, len(labels)).T)
    of_classes = [_rank_class(labels[:, c], probabilities[:, c], by_recording) for c in range(labels.shape[1])]
    auroc, precision = (np.stack(columns, axis=1) for columns in zip(*of_classes, strict=True))
    true, always = labels.any(axis=0), labels.all(axis=0)
    return {
        "auroc": auroc,
        "average_precision": precision,
        "macro_auroc": macro_average(auroc, true & ~always),
        "macro_average_precision": macro_average(precision, true),
    }


def _rank_class(labels: npt.NDArray[np.bool_], probabilities: np.ndarray, weights: Floats) -> tuple[Floats, Floats]:
    """Returns (AUROC [B], average precision [B]) of one class; weights are [R, B] here, so that sums run along rows."""
    order = np.argsort(-probabilities, kind="stable")
    first = np.flatnonzero(np.diff(probabilities[order], prepend=np.inf))  # recordings of one probability stay together
    above = np.cumsum(np.add.reduceat(weights[order], first, axis=0), axis=0)  # weight that reaches each threshold
    with_class = order[labels[order]]
    if not len(with_class):
        undefined = np.full(weights.shape[1], np.nan)
        return undefined, undefined
    # Both metrics are sums over the thresholds that recordings of the class are the first to reach: mostly few.
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
