"""Labels and predicted label sets → confusion counts → precision, recall, F1 and subset accuracy.

Every metric is that of weighted recordings: weights [B, R] say how often each of R recordings counts in each of B
resamples, and the result is what one would compute from the repeated rows. Without weights, every recording counts once
and B is 1. Undefined is NaN. A macro average is over the classes for which its metric is defined when every recording
counts once; a resample that loses one of these classes has no macro average.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: A class is predicted from this probability on (paper.md).
THRESHOLD = 0.5
#: Recordings by their number of true classes: any, one, several, none.
LABEL_COUNTS = ("all", "single_label", "multi_label", "no_label")

Floats = npt.NDArray[np.float64]


class ConfusionCounts(NamedTuple):
    """How often classes and whole label sets were predicted rightly and wrongly; whole numbers without weights.

    Attributes:
      true_positives, false_positives, false_negatives: [B, C].
      exact: [B, 4], recordings whose whole label set is predicted, by `LABEL_COUNTS`.
      recordings: [B, 4], all recordings, by `LABEL_COUNTS`.
    """

    true_positives: Floats
    false_positives: Floats
    false_negatives: Floats
    exact: Floats
    recordings: Floats


def apply_thresholds(probabilities: np.ndarray, threshold: float | np.ndarray = THRESHOLD) -> npt.NDArray[np.uint8]:
    """Returns the predicted labels [.., C] of probabilities [.., C]; no class is forced where none is reached.

    `threshold` is one for all classes, or [C].
    """
    return (np.asarray(probabilities) >= threshold).astype(np.uint8)


def label_count_masks(labels: np.ndarray) -> npt.NDArray[np.bool_]:
    """Returns [4, R]: which of the recordings with these labels [R, C] belong to each of `LABEL_COUNTS`."""
    number = np.asarray(labels, bool).sum(axis=1)
    return np.stack([np.ones(len(number), bool), number == 1, number > 1, number == 0])


def as_weights(weights: np.ndarray | None, recordings: int) -> Floats:
    """Returns the weights [B, R] as float64; [1, R] ones where there are none."""
    return np.ones((1, recordings)) if weights is None else np.asarray(weights, np.float64)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> Floats:
    """Returns numerator / denominator, NaN (undefined) where the denominator is 0."""
    shape = np.broadcast(numerator, denominator).shape
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)


def macro_average(by_class: Floats, classes: npt.NDArray[np.bool_]) -> Floats:
    """Returns the mean [B] of the chosen columns of [B, C]; NaN where one of them is, or none is chosen."""
    return by_class[:, classes].mean(axis=1) if classes.any() else np.full(len(by_class), np.nan)


def none_if_nan(value: float) -> float | None:
    """Returns the value for JSON, which has null and no NaN."""
    return None if np.isnan(value) else float(value)


def count_confusion(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None) -> ConfusionCounts:
    """Returns the counts of true and predicted labels, both [R, C] of 0 or 1, with weights [B, R]."""
    labels, predictions = np.asarray(labels, bool), np.asarray(predictions, bool)
    if labels.shape != predictions.shape or labels.ndim != 2:
        raise ValueError(f"labels {labels.shape} and predictions {predictions.shape} must both be [R, C]")
    weights, masks = as_weights(weights, len(labels)), label_count_masks(labels)
    return ConfusionCounts(
        true_positives=weights @ (labels & predictions),
        false_positives=weights @ (~labels & predictions),
        false_negatives=weights @ (labels & ~predictions),
        exact=weights @ (masks & np.all(labels == predictions, axis=1)).T,
        recordings=weights @ masks.T,
    )


def label_set_metrics(
    labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Floats]:
    """Returns the metrics that depend on the predicted label sets only.

    Precision is undefined where a class is never predicted; recall and F1 where it is never true.
    "macro_f1_undefined_as_0" is over all classes, undefined ones as 0, as scikit-learn does unless told otherwise.

    Samples F1 is the mean over recordings of 2 |true ∩ predicted| / (|true| + |predicted|). A recording with none of
    the classes for which none is predicted counts 1 (it is predicted whole); "samples_f1_empty_as_0" counts it 0, as
    scikit-learn does unless told otherwise.

    Args:
      labels, predictions: [R, C], 0 or 1.
      weights: [B, R], at least 0.

    Returns:
      "subset_accuracy" [B, 4] by `LABEL_COUNTS`; "precision", "recall" and "f1" [B, C]; the same with "micro_" and
      "macro_" before, "macro_f1_undefined_as_0", "hamming_loss", "samples_f1", "samples_f1_empty_as_0" [B].
    """
    labels, predictions = np.asarray(labels, bool), np.asarray(predictions, bool)
    weights = as_weights(weights, len(labels))
    hits, wrong, missed, exact, recordings = count_confusion(labels, predictions, weights)
    precision, recall = ratio(hits, hits + wrong), ratio(hits, hits + missed)
    f1 = np.where(hits + missed > 0, ratio(2 * hits, 2 * hits + wrong + missed), np.nan)
    all_hits, all_wrong, all_missed = (counts.sum(axis=1) for counts in (hits, wrong, missed))
    true, predicted = labels.any(axis=0), predictions.any(axis=0)

    size = labels.sum(axis=1) + predictions.sum(axis=1)
    overlap = ratio(2 * (labels & predictions).sum(axis=1), size)
    return {
        "subset_accuracy": ratio(exact, recordings),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "micro_precision": ratio(all_hits, all_hits + all_wrong),
        "micro_recall": ratio(all_hits, all_hits + all_missed),
        "micro_f1": ratio(2 * all_hits, 2 * all_hits + all_wrong + all_missed),
        "macro_precision": macro_average(precision, true & predicted),
        "macro_recall": macro_average(recall, true),
        "macro_f1": macro_average(f1, true),
        "macro_f1_undefined_as_0": np.nan_to_num(f1).mean(axis=1),
        "hamming_loss": ratio(weights @ np.mean(labels != predictions, axis=1), recordings[:, 0]),
        "samples_f1": ratio(weights @ np.where(size > 0, overlap, 1.0), recordings[:, 0]),
        "samples_f1_empty_as_0": ratio(weights @ np.where(size > 0, overlap, 0.0), recordings[:, 0]),
    }


def summarize(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float | None]:
    """Returns the few metrics that tell how training goes, None where undefined; arguments as above."""
    found = label_set_metrics(labels, predictions)
    accuracy = dict(zip(LABEL_COUNTS, found["subset_accuracy"][0], strict=True))
    return {
        "micro_f1": none_if_nan(found["micro_f1"][0]),
        "macro_f1": none_if_nan(found["macro_f1"][0]),
        "subset_accuracy": none_if_nan(accuracy["all"]),
        "multi_label_subset_accuracy": none_if_nan(accuracy["multi_label"]),
    }


def check_arrays(labels: np.ndarray, probabilities: np.ndarray, predictions: np.ndarray, classes: int) -> None:
    """Refuses what is not [R, C] for R ≥ 1 and `classes`, and probabilities outside 0 … 1 (NaN is outside).

    Raises:
      ValueError: says which shapes or values do not fit.
    """
    shapes = {np.shape(array) for array in (labels, probabilities, predictions)}
    if len(shapes) > 1 or np.ndim(labels) != 2 or np.shape(labels)[1] != classes:
        raise ValueError(
            f"labels {np.shape(labels)}, probabilities {np.shape(probabilities)} and predictions "
            f"{np.shape(predictions)} must all be [R, {classes}]"
        )
    if not len(labels):
        raise ValueError("no recordings to score")
    if not np.all((probabilities >= 0) & (probabilities <= 1)):
        raise ValueError("probabilities must be numbers from 0 to 1")
