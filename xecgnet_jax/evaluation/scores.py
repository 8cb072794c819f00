"""One set of predictions → all metrics, their intervals, calibration and label sets, as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xecgnet_jax.evaluation.calibration import calibration_metrics, chance_errors, reliability
from xecgnet_jax.evaluation.intervals import (
    LEVEL,
    RESAMPLES,
    Interval,
    ResamplingUnits,
    basic_interval,
    bootstrap,
    percentile_interval,
    resampling_units,
    wilson,
)
from xecgnet_jax.evaluation.label_sets import label_sets
from xecgnet_jax.evaluation.metrics import (
    LABEL_COUNTS,
    ConfusionCounts,
    Floats,
    check_arrays,
    count_confusion,
    label_set_metrics,
    none_if_nan,
)
from xecgnet_jax.evaluation.ranking import ranking_metrics

_MICRO = ("precision", "recall", "f1")
_MACRO = (*_MICRO, "auroc", "average_precision")
_OF_RECORDINGS = ("hamming_loss", "samples_f1", "samples_f1_empty_as_0", "macro_f1_undefined_as_0")


def all_metrics(
    labels: np.ndarray, probabilities: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Floats]:
    """Returns the metrics of label sets, of ranking and of calibration together; arguments as there."""
    return (
        label_set_metrics(labels, predictions, weights)
        | ranking_metrics(labels, probabilities, weights)
        | calibration_metrics(labels, probabilities, weights)
    )


class _Estimates(NamedTuple):
    """Metrics and what they are in each of B resamples; a column is a class or one of `LABEL_COUNTS`.

    Attributes:
      values: metric → [1] or [1, columns].
      resampled: metric → [B] or [B, columns].
      units: what was resampled.
    """

    values: dict[str, Floats]
    resampled: dict[str, Floats]
    units: ResamplingUnits

    def value(self, name: str, *column: int) -> float | None:
        return none_if_nan(self.values[name][0, *column])

    def interval(self, name: str, *column: int) -> Interval | None:
        if self.value(name, *column) is None:
            return None
        return percentile_interval(self.resampled[name][:, *column])

    def proportion_intervals(
        self, key: str, name: str, column: int, successes: float, trials: float
    ) -> dict[str, Interval | None]:
        """Returns Wilson's interval; where its assumption of independent recordings fails, also the bootstrap's."""
        intervals = {key: wilson(int(successes), int(trials))}
        return intervals | ({f"{key}_by_patient": self.interval(name, column)} if self.units.repeat else {})


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
    """Returns all metrics with their intervals, as JSON values; the layout is in docs/evaluation.md.

    Args:
      labels: [R, C], 0 or 1.
      probabilities: [R, C] in 0 … 1.
      predictions: [R, C], 0 or 1, from `metrics.apply_thresholds`.
      classes: C names.
      patients: [R] patient of each recording, None where unknown. Where one has several recordings, patients are
        resampled, not recordings.
      resamples, seed: of the bootstrap.

    Raises:
      ValueError: shapes that do not fit, no recordings, or probabilities outside 0 … 1.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    check_arrays(labels, probabilities, predictions, len(classes))

    def metrics(weights: np.ndarray | None) -> dict[str, Floats]:
        return all_metrics(labels, probabilities, predictions, weights)

    units = resampling_units(len(labels), patients)
    found = _Estimates(metrics(None), bootstrap(metrics, units, resamples=resamples, seed=seed), units)
    counts = count_confusion(labels, predictions)
    support = counts.true_positives[0] + counts.false_negatives[0]
    chance, overall_chance = chance_errors(probabilities, seed)
    return {
        "subset_accuracy": {
            name: {
                "accuracy": found.value("subset_accuracy", column),
                "exact": int(exact),
                "recordings": int(recordings),
                "intervals": found.proportion_intervals("accuracy", "subset_accuracy", column, exact, recordings),
            }
            for column, (name, exact, recordings) in enumerate(
                zip(LABEL_COUNTS, counts.exact[0], counts.recordings[0], strict=True)
            )
        },
        "micro": {name: found.value(f"micro_{name}") for name in _MICRO}
        | {"support": int(support.sum()), "intervals": {name: found.interval(f"micro_{name}") for name in _MICRO}},
        "macro": {name: found.value(f"macro_{name}") for name in _MACRO}
        | {
            "classes": int((support > 0).sum()),
            "intervals": {name: found.interval(f"macro_{name}") for name in _MACRO},
        },
        "per_class": {
            name: _evaluate_class(found, counts, column, chance[:, column]) for column, name in enumerate(classes)
        },
        **{name: found.value(name) for name in _OF_RECORDINGS},
        "intervals": {name: found.interval(name) for name in _OF_RECORDINGS},
        "calibration": _evaluate_calibration(found, "overall_", overall_chance)
        | {"bins": reliability(labels, probabilities)},
        "label_sets": label_sets(labels, predictions, classes),
        "resampling": units.describe(resamples, seed),
    }


def _evaluate_class(found: _Estimates, counts: ConfusionCounts, column: int, chance: Floats) -> dict[str, Any]:
    hits, wrong, missed = (count[0, column] for count in counts[:3])
    calibration = _evaluate_calibration(found, "", chance, column)
    row: dict[str, Any] = {name: found.value(name, column) for name in _MACRO}
    row |= {"support": int(hits + missed), "predicted": int(hits + wrong)}
    return (
        row
        | calibration
        | {
            "intervals": found.proportion_intervals("precision", "precision", column, hits, hits + wrong)
            | found.proportion_intervals("recall", "recall", column, hits, hits + missed)
            | {name: found.interval(name, column) for name in ("f1", "auroc", "average_precision")}
            | calibration["intervals"]
        }
    )


def _evaluate_calibration(found: _Estimates, prefix: str, chance: Floats, *column: int) -> dict[str, Any]:
    """Returns Brier score and calibration error, what the error would be by chance alone, and the intervals.

    Chance alone makes a calibration error larger than 0, and each resample larger again: so the percentile interval is
    mirrored at the value, and begins at 0 where the value is no larger than 97.5 % of those of right probabilities.
    """
    name = f"{prefix}calibration_error"
    error, interval = found.value(name, *column), None
    if error is not None:
        interval = basic_interval(error, found.resampled[name][:, *column])
        if interval is not None and error <= np.quantile(chance, (1 + LEVEL) / 2):
            interval[0] = 0.0
    return {
        "brier": found.value(f"{prefix}brier", *column),
        "calibration_error": error,
        "calibration_error_by_chance": None if error is None else float(chance.mean()),
        "intervals": {"brier": found.interval(f"{prefix}brier", *column), "calibration_error": interval},
    }
