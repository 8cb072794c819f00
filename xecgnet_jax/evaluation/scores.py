"""Everything that is said about one set of predictions: figures, intervals, calibration, label sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xecgnet_jax.evaluation.calibration import chance_errors, reliability
from xecgnet_jax.evaluation.figures import BY_CLASS, figures
from xecgnet_jax.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Interval,
    Units,
    basic_interval,
    bootstrap,
    percentile_interval,
    units_of,
    wilson,
)
from xecgnet_jax.evaluation.label_sets import label_sets
from xecgnet_jax.evaluation.metrics import GROUPS, Counts, count, summarize

_AVERAGED = ("precision", "recall", "f1", "auroc", "average_precision")
_WHOLE = ("hamming_loss", "samples_f1", "samples_f1_empty_as_0", "macro_f1_undefined_as_0")


def evaluate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    predictions: np.ndarray,
    classes: tuple[str, ...],
    *,
    patients: Sequence[str | None] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures with their intervals, as JSON values; the layout is in docs/evaluation.md.

    Args:
      labels: [R, C], 0 or 1.
      probabilities: [R, C] in 0 … 1.
      predictions: [R, C], 0 or 1, from `metrics.apply_thresholds`.
      classes: C names.
      patients: [R] patient of each recording, None where unknown. Where one has several recordings, patients are
        resampled, not recordings.
      resamples: of the bootstrap.
      seed: of the bootstrap.

    Raises:
      ValueError: shapes that do not fit, no recordings, or probabilities that are none.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    check_arrays(labels, probabilities, predictions, len(classes))
    units = units_of(len(labels), patients)
    counts = count(labels, predictions)
    at_1 = figures(labels, probabilities, predictions, np.ones((1, len(labels))))
    resampled = bootstrap(
        lambda weights: figures(labels, probabilities, predictions, weights), units, resamples=resamples, seed=seed
    )
    found = {name: (at_1[name][0], resampled[name]) for name in at_1}
    result = summarize(counts, classes)
    for group, row in result["subset_accuracy"].items():
        row["intervals"] = _proportion("accuracy", row["exact"], row["recordings"]) | _by_patient(
            "accuracy", resampled["subset_accuracy"][:, GROUPS.index(group)], units
        )
    result["micro"]["intervals"] = {name: _interval(found, f"micro_{name}") for name in _AVERAGED[:3]}
    for name in _AVERAGED[3:]:
        result["macro"][name] = _number(found[f"macro_{name}"][0])
    result["macro"]["intervals"] = {name: _interval(found, f"macro_{name}") for name in _AVERAGED}
    chance, overall_chance = chance_errors(probabilities, seed)
    for index, row in enumerate(result["per_class"].values()):
        row |= _of_class(found, index, counts, units, chance[:, index])
    result |= {name: _number(found[name][0]) for name in _WHOLE}
    return result | {
        "intervals": {name: _interval(found, name) for name in _WHOLE},
        "calibration": _calibration(found, labels, probabilities, overall_chance),
        "label_sets": label_sets(labels, predictions, classes),
        "resampling": describe_resampling(units, resamples, seed),
    }


def check_arrays(labels: np.ndarray, probabilities: np.ndarray, predictions: np.ndarray, classes: int) -> None:
    """Refuses what is not [R, C] for R ≥ 1 and `classes`, and probabilities outside 0 … 1 (NaN is)."""
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


def describe_resampling(units: Units, resamples: int, seed: int) -> dict[str, Any]:
    """What the intervals rest on, as JSON values."""
    return {
        "level": LEVEL,
        "resamples": resamples,
        "seed": seed,
        "units": units.name,
        "number": units.number,
        "recordings": len(units.of),
    }


Found = dict[str, tuple[np.ndarray, np.ndarray]]


def _of_class(found: Found, index: int, counts: Counts, units: Units, chance: np.ndarray) -> dict[str, Any]:
    """What `summarize` does not say of a class; precision and recall are proportions."""
    of_class = {name: (found[name][0][index], found[name][1][:, index]) for name in BY_CLASS}
    hits = int(counts.true_positives[index])
    wrong, missed = int(counts.false_positives[index]), int(counts.false_negatives[index])
    intervals = _proportion("precision", hits, hits + wrong) | _proportion("recall", hits, hits + missed)
    for name in ("precision", "recall"):
        intervals |= _by_patient(name, of_class[name][1], units)
    intervals |= {name: _interval(of_class, name) for name in ("f1", "auroc", "average_precision", "brier")}
    row = {name: _number(of_class[name][0]) for name in ("auroc", "average_precision", "brier")}
    error = _calibration_error(*of_class["calibration_error"], chance)
    return row | error | {"intervals": intervals | error["intervals"]}


def _proportion(name: str, successes: int, trials: int) -> dict[str, Any]:
    return {name: _json(wilson(successes, trials))}


def _by_patient(name: str, resampled: np.ndarray, units: Units) -> dict[str, Any]:
    """A second interval of a proportion where Wilson's assumption, independent recordings, does not hold."""
    return {f"{name}_by_patient": _json(percentile_interval(resampled))} if units.repeat else {}


def _interval(found: Found, name: str) -> list[float] | None:
    figure, resampled = found[name]
    return None if np.isnan(figure) else _json(percentile_interval(resampled))


def _calibration(found: Found, labels: np.ndarray, probabilities: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    error = _calibration_error(*found["overall_calibration_error"], chance)
    intervals = {"brier": _interval(found, "overall_brier")} | error["intervals"]
    bins = reliability(labels, probabilities)
    return {"brier": _number(found["overall_brier"][0])} | error | {"intervals": intervals, "bins": bins}


def _calibration_error(figure: np.ndarray, resampled: np.ndarray, chance: np.ndarray) -> dict[str, Any]:
    """The figure, what it would be on average if the probabilities were right, and its interval.

    Chance alone makes a calibration error larger than 0, and each resample larger again: so the percentile interval is
    mirrored at the figure, and begins at 0 where the figure is no larger than 97.5 % of those of right probabilities.
    """
    if np.isnan(figure):
        return {
            "calibration_error": None,
            "calibration_error_by_chance": None,
            "intervals": {"calibration_error": None},
        }
    interval = basic_interval(float(figure), resampled)
    if interval is not None and figure <= np.quantile(chance, (1 + LEVEL) / 2):
        interval = 0.0, interval[1]
    return {
        "calibration_error": float(figure),
        "calibration_error_by_chance": float(chance.mean()),
        "intervals": {"calibration_error": _json(interval)},
    }


def _number(value: np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)


def _json(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)
