"""True against predicted label sets of the recordings with several classes: which half is missed?"""

from __future__ import annotations

from collections import Counter
from itertools import compress
from typing import Any

import numpy as np

from xecgnet_jax.evaluation.metrics import check_shapes

#: What was predicted for a true label set.
OUTCOMES = ("exact", "all_and_more", "part", "none")


def label_sets(labels: np.ndarray, predictions: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Returns what is predicted for each co-occurrence of the C classes; labels and predictions are [R, C] of 0 or 1.

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
    check_shapes(len(classes), labels=labels, predictions=predictions)
    several = labels.sum(axis=1) > 1
    labels, predictions = labels[several], predictions[several]
    found = (labels & predictions).sum(axis=1)
    all_found, more = found == labels.sum(axis=1), np.any(predictions & ~labels, axis=1)
    masks = (all_found & ~more, all_found & more, ~all_found & (found > 0), found == 0)
    sets = []
    for true, recordings in _most_common(labels):
        predicted = predictions[np.all(labels == true, axis=1)]
        times = dict(zip(classes, predicted.sum(axis=0).tolist(), strict=True))
        names, rows = list(compress(classes, true)), _most_common(predicted)
        sets.append(
            {
                "true": names,
                "recordings": recordings,
                "exact": sum(number for row, number in rows if row == true),
                "missed": {name: recordings - times[name] for name in names},
                "extra": {name: number for name, number in times.items() if number and name not in names},
                "predicted": [{"classes": list(compress(classes, row)), "recordings": number} for row, number in rows],
            }
        )
    outcomes = {name: int(mask.sum()) for name, mask in zip(OUTCOMES, masks, strict=True)}
    return {"recordings": len(labels), "outcomes": outcomes, "sets": sets}


def _most_common(rows: np.ndarray) -> list[tuple[tuple[bool, ...], int]]:
    """Returns distinct rows and how often each occurs, the most frequent first; ties go by the order of the classes."""
    counts = Counter(tuple(row) for row in rows.tolist())
    return sorted(counts.items(), key=lambda item: (-item[1], [not is_in for is_in in item[0]]))
