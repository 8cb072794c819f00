"""Which classes a picture speaks of, and in which words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.plotting.drawing import clean

NONE = "none of the classes"


class Verdict(NamedTuple):
    """A class that is predicted, or true, or both.

    Attributes:
      column: of the class.
      name: of the class, cleaned.
      word: "correct", "wrong", "missed"; "predicted" where the truth, "labeled" where the prediction is not known.
      probability: as text, "" where there is none.
      comparison: of probability and threshold, as text.
    """

    column: int
    name: str
    word: str
    probability: str
    comparison: str


def verdicts(
    classes: Sequence[str],
    probabilities: np.ndarray | None,
    thresholds: np.ndarray,
    truth: Collection[str] | None,
) -> list[Verdict]:
    """Of the predicted and the true classes, in the order of `classes`."""
    found = (
        np.zeros(len(classes), bool)
        if probabilities is None
        else apply_thresholds(probabilities, thresholds).astype(bool)
    )
    made = []
    for column, name in enumerate(classes):
        true = truth is not None and name in truth
        if not found[column] and not true:
            continue
        probability = comparison = ""
        if probabilities is None:
            word = "labeled"
        else:
            word = ("predicted" if truth is None else "correct" if true else "wrong") if found[column] else "missed"
            probability = f"{probabilities[column]:.2f}"
            comparison = _comparison(float(probabilities[column]), float(thresholds[column]))
        made.append(Verdict(column, clean(name, 40), word, probability, comparison))
    return made


def sentence(found: Sequence[Verdict], *, predictions: bool, truth: Collection[str] | None) -> str:
    """All verdicts in a line: "Predicted: AF 0.93 (correct), PVC 0.61 (wrong). Missed: RBBB 0.12."."""
    if not predictions:
        return "" if truth is None else f"Labelled: {', '.join(one.name for one in found) or NONE}."
    hits = [one for one in found if one.word != "missed"]
    named = [f"{one.name} {one.probability}" + (f" ({one.word})" if one.word != "predicted" else "") for one in hits]
    if not named:
        named = [NONE + (" (correct)" if truth is not None and not found else "")]
    text = f"Predicted: {', '.join(named)}."
    missed = [f"{one.name} {one.probability}" for one in found if one.word == "missed"]
    return text + (f" Missed: {', '.join(missed)}." if missed else "")


def _comparison(probability: float, threshold: float) -> str:
    """ "0.93 ≥ 0.50", with as many decimals as tell the two apart."""
    for decimals in range(2, 8):
        left, right = f"{probability:.{decimals}f}", f"{threshold:.{decimals}f}"
        if left != right or probability == threshold:
            break
    return f"{left} {'≥' if probability >= threshold else '<'} {right}"
