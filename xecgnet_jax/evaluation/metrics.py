"""Labels, probabilities and predicted label sets → precision, recall, F1, subset accuracy, AUROC, average precision.

Every metric is that of weighted recordings: weights [B, R] say how often each of R recordings counts in each of B
resamples, and the result is what one would compute from the repeated rows. Without weights, every recording counts once
and B is 1. Undefined is NaN. A macro average is over the classes for which its metric is defined when every recording
counts once; a resample that loses one of these classes has no macro average.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: A class is predicted from this probability on, as the authors do (docs/fidelity.md).
THRESHOLD = 0.5
#: Recordings by their number of true classes: any, one, several, none.
LABEL_COUNTS = ("all", "single_label", "multi_label", "no_label")

Floats = npt.NDArray[np.float64]


def apply_thresholds(probabilities: np.ndarray, threshold: float | np.ndarray = THRESHOLD) -> npt.NDArray[np.uint8]:
    """Returns the predicted labels of probabilities, both [.., C], by one threshold or [C]; no class is forced."""
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


def macro_average(by_class: Floats, classes: np.ndarray) -> Floats:
    """Returns the mean [B] of the chosen columns of [B, C]; NaN where one of them is, or none is chosen."""
    return by_class[:, classes].mean(axis=1) if classes.any() else np.full(len(by_class), np.nan)


def none_if_nan(value: float) -> float | None:
    """Returns the value for JSON, which has null and no NaN."""
    return None if np.isnan(value) else float(value)


def check_shapes(classes: int | None = None, **arrays: np.ndarray) -> None:
    """Refuses arrays that are not all [R, C], with C classes where they are given."""
    shapes = [np.shape(array) for array in arrays.values()]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2 or classes not in (None, shapes[0][1]):
        given = ", ".join(f"{name} {shape}" for name, shape in zip(arrays, shapes, strict=True))
        raise ValueError(f"{given} must all be [R, {classes or 'C'}]")


def check_arrays(labels: np.ndarray, probabilities: np.ndarray, predictions: np.ndarray, classes: int) -> None:
    """Refuses what is not [R, C] for R ≥ 1 and `classes`, labels other than 0 and 1, probabilities outside 0 … 1."""
    check_shapes(classes, labels=labels, probabilities=probabilities, predictions=predictions)
    if not len(labels):
        raise ValueError("no recordings to score")
    for name, array in (("labels", labels), ("predictions", predictions)):
        wrong = np.asarray(array)[~np.isin(array, (0, 1))]
        if len(wrong):
            raise ValueError(f"{name} must be 0 or 1, not {wrong[0]:g}")
    if not np.all((probabilities >= 0) & (probabilities <= 1)):
        raise ValueError("probabilities must be numbers from 0 to 1")


def count_confusion(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None) -> list[Floats]:
    """Returns how often classes and whole label sets, both [R, C] of 0 or 1, are predicted rightly and wrongly.

    Returns:
      True positives, false positives and false negatives [B, C]; recordings whose whole label set is predicted, and all
      recordings, [B, 4] by `LABEL_COUNTS`. Whole numbers without weights.
    """
    check_shapes(labels=labels, predictions=predictions)
    labels, predictions = np.asarray(labels, bool), np.asarray(predictions, bool)
    masks = label_count_masks(labels)
    exact = masks & np.all(labels == predictions, axis=1)
    counted = (labels & predictions, ~labels & predictions, labels & ~predictions, exact.T, masks.T)
    return [as_weights(weights, len(labels)) @ each for each in counted]


def label_set_metrics(
    labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Floats]:
    """Returns the metrics of predicted label sets; labels and predictions are [R, C] of 0 or 1, weights [B, R].

    Precision is undefined where a class is never predicted; recall and F1 where it is never true. Samples F1 is the
    mean over recordings of 2 |true ∩ predicted| / (|true| + |predicted|); a recording with none of the classes for
    which none is predicted counts 1 (it is predicted whole). "macro_f1_undefined_as_0" counts undefined classes 0,
    "samples_f1_empty_as_0" such recordings, as scikit-learn does unless told otherwise.

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
    true, predicted = np.any(labels, axis=0), np.any(predictions, axis=0)
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


def ranking_metrics(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Floats]:
    """Returns the metrics that depend only on the order of the probabilities within a class.

    AUROC is the share of pairs of a recording with the class and one without it in which the former has the higher
    probability, equal ones as half a pair. Average precision is the sum over thresholds of precision times the recall
    gained there, without interpolation. Both as in scikit-learn. Labels (0 or 1) and probabilities are [R, C].

    Returns:
      "auroc" and "average_precision" [B, C], NaN where no recording has the class, AUROC also where all have it;
      "macro_auroc" and "macro_average_precision" [B].
    """
    labels, probabilities = np.asarray(labels, bool), np.asarray(probabilities, np.float64)
    by_recording = np.ascontiguousarray(as_weights(weights, len(labels)).T)
    of_classes = [_rank_class(labels[:, c], probabilities[:, c], by_recording) for c in range(labels.shape[1])]
    auroc, precision = (np.stack(columns, axis=1) for columns in zip(*of_classes, strict=True))
    true, always = np.any(labels, axis=0), np.all(labels, axis=0)
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


def summarize(
    labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float | None]:
    """Returns the few metrics that tell how training goes, None where undefined; arguments [R, C], weights [R]."""
    found = label_set_metrics(labels, predictions, None if weights is None else weights[None])
    accuracies = dict(zip(LABEL_COUNTS, found["subset_accuracy"].T, strict=True))
    few = {name: found[name] for name in ("micro_f1", "macro_f1")}
    few |= {"subset_accuracy": accuracies["all"], "multi_label_subset_accuracy": accuracies["multi_label"]}
    return {name: none_if_nan(values[0]) for name, values in few.items()}
