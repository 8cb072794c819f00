"""Labels and predictions → counts → F1 and subset accuracy.

Counts add up over batches and recordings; every figure is one division at the end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

#: A class is predicted from this probability on (paper.md).
THRESHOLD = 0.5
#: Groups of recordings by their number of true classes.
GROUPS = ("all", "single_label", "multi_label", "no_label")


class Counts(NamedTuple):
    """What the metrics are made of.

    Attributes:
      true_positives, false_positives, false_negatives: [C] int64.
      exact: [4] int64, recordings whose whole label set is predicted, by `GROUPS`.
      recordings: [4] int64, recordings by `GROUPS`.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    exact: np.ndarray
    recordings: np.ndarray


def apply_thresholds(probabilities: np.ndarray, threshold: float | np.ndarray = THRESHOLD) -> np.ndarray:
    """[.., C] probabilities → [.., C] uint8. No class is forced where none reaches the threshold.

    `threshold` is one for all classes, or [C].
    """
    return (np.asarray(probabilities) >= threshold).astype(np.uint8)


def groups_of(labels: np.ndarray) -> np.ndarray:
    """[R, C] labels → [4, R] bool, which recordings belong to each of `GROUPS`."""
    number = np.asarray(labels, bool).sum(axis=1)
    return np.stack([np.ones(len(number), bool), number == 1, number > 1, number == 0])


def count(labels: np.ndarray, predictions: np.ndarray) -> Counts:
    """Counts of [R, C] true and predicted labels (0 or 1)."""
    labels, predictions = np.asarray(labels, bool), np.asarray(predictions, bool)
    if labels.shape != predictions.shape or labels.ndim != 2:
        raise ValueError(f"labels {labels.shape} and predictions {predictions.shape} must both be [R, C]")
    exact = np.all(labels == predictions, axis=1)
    groups = groups_of(labels)
    return Counts(
        (labels & predictions).sum(axis=0),
        (~labels & predictions).sum(axis=0),
        (labels & ~predictions).sum(axis=0),
        (groups & exact).sum(axis=1),
        groups.sum(axis=1),
    )


def add(one: Counts, other: Counts) -> Counts:
    return Counts(*(left + right for left, right in zip(one, other, strict=True)))


def ratio(above: Any, below: Any) -> np.ndarray:
    """above / below, NaN (undefined) where below is 0."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0)


def micro_f1(counts: Counts) -> float:
    """2 TP / (2 TP + FP + FN), summed over classes; NaN where nothing is true or predicted."""
    hits = 2 * counts.true_positives.sum()
    return float(ratio(hits, hits + counts.false_positives.sum() + counts.false_negatives.sum()))


def summarize(counts: Counts, classes: tuple[str, ...]) -> dict[str, Any]:
    """All figures as JSON values; undefined ones are None.

    Precision is undefined where a class is never predicted; recall and F1 where it is never true. Macro averages
    are over the classes that are true somewhere and for which the figure is defined; `macro_f1_undefined_as_0` is over
    all classes, undefined ones as 0, as scikit-learn does unless told otherwise.
    """
    support = counts.true_positives + counts.false_negatives
    precision = ratio(counts.true_positives, counts.true_positives + counts.false_positives)
    recall = ratio(counts.true_positives, support)
    f1 = ratio(2 * counts.true_positives, 2 * counts.true_positives + counts.false_positives + counts.false_negatives)
    f1 = np.where(support > 0, f1, np.nan)
    per_class = {
        name: {
            "precision": _number(precision[index]),
            "recall": _number(recall[index]),
            "f1": _number(f1[index]),
            "support": int(support[index]),
            "predicted": int(counts.true_positives[index] + counts.false_positives[index]),
        }
        for index, name in enumerate(classes)
    }
    hits, wrong, missed = (
        counts.true_positives.sum(),
        counts.false_positives.sum(),
        counts.false_negatives.sum(),
    )
    subset = {
        group: {
            "accuracy": _number(ratio(counts.exact[index], counts.recordings[index])),
            "exact": int(counts.exact[index]),
            "recordings": int(counts.recordings[index]),
        }
        for index, group in enumerate(GROUPS)
    }
    return {
        "subset_accuracy": subset,
        "micro": {
            "precision": _number(ratio(hits, hits + wrong)),
            "recall": _number(ratio(hits, hits + missed)),
            "f1": _number(np.asarray(micro_f1(counts))),
            "support": int(support.sum()),
        },
        "macro": {
            "precision": _mean(precision[support > 0]),
            "recall": _mean(recall),
            "f1": _mean(f1),
            "classes": int((support > 0).sum()),
        },
        "macro_f1_undefined_as_0": float(np.nan_to_num(f1).mean()),
        "per_class": per_class,
    }


def _number(value: np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: np.ndarray) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
