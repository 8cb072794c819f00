"""Which classes a picture speaks of, and in which words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.plotting.svg import clean

NONE = "none of the classes"


class Verdict(NamedTuple):
    """A class that is predicted, or true, or both.

    Attributes:
      column, name: of the class; the name is cleaned.
      word: "correct", "wrong", "missed"; "predicted" where the truth, "labeled" where the prediction is not known.
      probability: as text, "" where there is none.
      comparison: of probability and threshold, as text ("0.93 ≥ 0.50"), "" where there is none.
    """

    column: int
    name: str
    word: str
    probability: str = ""
    comparison: str = ""


def judge_classes(
    classes: Sequence[str], probabilities: np.ndarray | None, thresholds: np.ndarray, truth: Collection[str] | None
) -> list[Verdict]:
    """Returns a verdict on each class that is predicted or true, in the order of the C classes.

    Probabilities are [C] or None, thresholds [C] or [] for all classes, `truth` names the true classes or is None.

    Raises:
      ValueError: shapes do not fit each other, a number is not finite, or `truth` names what is not in `classes`.
    """
    shape = (len(classes),)
    if probabilities is not None and (probabilities.shape != shape or not np.isfinite(probabilities).all()):
        raise ValueError(f"probabilities must be {shape[0]} finite numbers, one a class: {probabilities.tolist()}")
    if thresholds.shape not in ((), shape) or not np.isfinite(thresholds).all():
        raise ValueError(f"thresholds must be one finite number or {shape[0]}, one a class: {thresholds.tolist()}")
    if isinstance(truth, str):
        raise ValueError(f"truth must be a collection of names, and is the text {truth!r}")
    if unknown := [name for name in truth or () if name not in classes]:
        raise ValueError(f"truth names {', '.join(map(repr, unknown))}; the classes are {', '.join(classes)}")
    predicted = np.zeros(shape, bool) if probabilities is None else apply_thresholds(probabilities, thresholds)
    verdicts = []
    for column, name in enumerate(classes):
        is_true = name in (truth or ())
        if not predicted[column] and not is_true:
            continue
        if probabilities is None:
            verdicts.append(Verdict(column, clean(name, 40), "labeled"))
            continue
        judged = "correct" if is_true else "wrong" if truth is not None else "predicted"
        word = judged if predicted[column] else "missed"
        probability, threshold = float(probabilities[column]), float(np.broadcast_to(thresholds, shape)[column])
        for decimals in range(2, 8):  # As many as tell the two apart.
            left, right = f"{probability:.{decimals}f}", f"{threshold:.{decimals}f}"
            if left != right or probability == threshold:
                break
        comparison = f"{left} {'≥' if probability >= threshold else '<'} {right}"
        verdicts.append(Verdict(column, clean(name, 40), word, f"{probability:.2f}", comparison))
    return verdicts


def verdict_sentence(verdicts: Sequence[Verdict], *, predictions: bool, truth: Collection[str] | None) -> str:
    """Returns all verdicts in a line: "Predicted: AF 0.93 (correct), PVC 0.61 (wrong). Missed: RBBB 0.12."."""
    if not predictions:
        return "" if truth is None else f"Labeled: {', '.join(verdict.name for verdict in verdicts) or NONE}."
    behind = {"predicted": "", "correct": " (correct)", "wrong": " (wrong)"}
    predicted = [f"{one.name} {one.probability}{behind[one.word]}" for one in verdicts if one.word in behind]
    missed = [f"{one.name} {one.probability}" for one in verdicts if one.word == "missed"]
    none = f"{NONE} (correct)" if truth is not None and not missed else NONE
    text = f"Predicted: {', '.join(predicted) or none}."
    return f"{text} Missed: {', '.join(missed)}." if missed else text
