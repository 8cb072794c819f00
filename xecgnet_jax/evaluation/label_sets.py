"""True against predicted label sets of the recordings with several classes: which half is missed?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

#: What became of a true label set.
OUTCOMES = ("exact", "all_and_more", "part", "none")


def label_sets(labels: np.ndarray, predictions: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """What is predicted for each co-occurrence of classes.

    Args:
      labels, predictions: [R, C], 0 or 1.
      classes: C names.

    Returns:
      JSON values. "recordings": how many have several classes. "outcomes": of those, how many are predicted "exact"ly,
      with all true classes and others besides ("all_and_more"), with a part of the true classes (and maybe others), or
      with "none" of them. "sets": one entry per true label set, the most frequent first:
        "true": the classes; "recordings"; "exact";
        "missed": class of the set → recordings in which it is not predicted;
        "extra": class outside of the set → recordings in which it is predicted, where there are any;
        "predicted": [{"classes": …, "recordings": …}], every predicted set, the most frequent first.
    """
    labels, predictions = np.asarray(labels, bool), np.asarray(predictions, bool)
    if labels.shape != predictions.shape or labels.ndim != 2 or labels.shape[1] != len(classes):
        raise ValueError(f"labels {labels.shape} and predictions {predictions.shape} must be [R, {len(classes)}]")
    several = labels.sum(axis=1) > 1
    labels, predictions = labels[several], predictions[several]
    return {
        "recordings": len(labels),
        "outcomes": _outcomes(labels, predictions),
        "sets": [
            _entry(true, predictions[np.all(labels == true, axis=1)], classes) for true, _ in _most_common(labels)
        ],
    }


def _outcomes(labels: np.ndarray, predictions: np.ndarray) -> dict[str, int]:
    found = (labels & predictions).sum(axis=1)
    all_found, more = found == labels.sum(axis=1), np.any(predictions & ~labels, axis=1)
    members = (all_found & ~more, all_found & more, ~all_found & (found > 0), found == 0)
    return {name: int(which.sum()) for name, which in zip(OUTCOMES, members, strict=True)}


def _entry(true: np.ndarray, predictions: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    extra = {
        name: int(predictions[:, index].sum())
        for index, name in enumerate(classes)
        if not true[index] and predictions[:, index].any()
    }
    return {
        "true": _names(true, classes),
        "recordings": len(predictions),
        "exact": int(np.all(predictions == true, axis=1).sum()),
        "missed": {name: int((~predictions[:, c]).sum()) for c, name in enumerate(classes) if true[c]},
        "extra": extra,
        "predicted": [
            {"classes": _names(one, classes), "recordings": number} for one, number in _most_common(predictions)
        ],
    }


def _most_common(rows: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Distinct rows and how often each occurs, the most frequent first; equals go by the order of the classes."""
    counts = Counter(tuple(row) for row in rows.tolist())
    order = sorted(counts, key=lambda row: (-counts[row], [not is_in for is_in in row]))
    return [(np.array(row), counts[row]) for row in order]


def _names(members: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    return [name for name, is_in in zip(classes, members, strict=True) if is_in]
