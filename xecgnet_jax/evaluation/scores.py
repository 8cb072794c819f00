"""One set of predictions → all metrics, their intervals, calibration and label sets, as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xecgnet_jax.evaluation import intervals, metrics
from xecgnet_jax.evaluation.calibration import calibration_metrics, chance_errors, reliability
from xecgnet_jax.evaluation.label_sets import label_sets
from xecgnet_jax.evaluation.metrics import LABEL_COUNTS, Floats, none_if_nan

#: Of what `evaluate` returns: kept metrics of another version are made again.
FORMAT = 2

_MICRO = ("precision", "recall", "f1")
_MACRO = (*_MICRO, "auroc", "average_precision")
#: A class is in the macro AUROC of groups where each of them has so many recordings with it, and without it.
LEAST_IN_GROUP = 10
_OF_RECORDINGS = ("hamming_loss", "samples_f1", "samples_f1_empty_as_0", "macro_f1_undefined_as_0")


def all_metrics(
    labels: np.ndarray, probabilities: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Floats]:
    """Returns the metrics of label sets, of ranking and of calibration together; arguments as there."""
    return (
        metrics.label_set_metrics(labels, predictions, weights)
        | metrics.ranking_metrics(labels, probabilities, weights)
        | calibration_metrics(labels, probabilities, weights)
    )


class _Estimates(NamedTuple):
    """Metrics and what they are in each of B resamples; a column is a class or a label count."""

    values: dict[str, Floats]  # [1] or [1, columns]
    resampled: dict[str, Floats]  # [B] or [B, columns]
    units: intervals.ResamplingUnits

    def pick(self, name: str, column: int | None) -> tuple[float, Floats]:
        """Returns the value of a metric, in a column where it has some, and its [B] resampled values."""
        at = ... if column is None else (slice(None), column)
        return float(self.values[name][at][0]), self.resampled[name][at]

    def row(self, names: Sequence[str], prefix: str = "", column: int | None = None) -> dict[str, Any]:
        """Returns the values of metrics by name and, as "intervals", their bootstrap intervals."""
        found = {name: self.pick(prefix + name, column) for name in names}
        row: dict[str, Any] = {name: none_if_nan(value) for name, (value, _) in found.items()}
        row["intervals"] = {name: intervals.percentile_interval(values) for name, (_, values) in found.items()}
        return row

    def use_wilson(self, row: dict[str, Any], name: str, successes: float, trials: float) -> None:
        """Gives a proportion Wilson's interval; the bootstrap's stays where recordings are not independent."""
        if self.units.repeat:
            row["intervals"][f"{name}_by_patient"] = row["intervals"][name]
        row["intervals"][name] = intervals.wilson(int(successes), int(trials))

    def calibration(self, chance: Floats, prefix: str = "", column: int | None = None) -> dict[str, Any]:
        """Returns Brier score and calibration error, what the error would be by chance alone, and the intervals.

        Chance alone makes a calibration error larger than 0, and each resample larger again: so the percentile interval
        is mirrored at the value, and begins at 0 where the value is no larger than 97.5 % of those of right
        probabilities.
        """
        row = self.row(("brier", "calibration_error"), prefix, column)
        error, resampled = self.pick(f"{prefix}calibration_error", column)
        row["calibration_error_by_chance"] = None if np.isnan(error) else float(chance.mean())
        interval = intervals.basic_interval(error, resampled)
        if interval is not None and error <= np.quantile(chance, (1 + intervals.LEVEL) / 2):
            interval[0] = 0.0
        row["intervals"]["calibration_error"] = interval
        return row


def evaluate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    predictions: np.ndarray,
    classes: tuple[str, ...],
    *,
    calibrated: np.ndarray | None = None,
    patients: Sequence[str | None] | None = None,
    groupings: Sequence[Mapping[str, np.ndarray]] = (),
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns all metrics with their intervals, as JSON values: what metrics.json holds.

    Beside metrics stands `intervals`: the same names, each with `[low, high]` or null. An undefined metric is null. ::

        subset_accuracy  {all, single_label, multi_label, no_label}: accuracy, exact, recordings
        micro            precision, recall, f1, support
        macro            precision, recall, f1, auroc, average_precision, classes
        per_class        {CLASS}: precision, recall, f1, auroc, average_precision, support, predicted,
                         brier, calibration_error, calibration_error_by_chance
        hamming_loss, samples_f1, samples_f1_empty_as_0, macro_f1_undefined_as_0
        calibration      brier, calibration_error, calibration_error_by_chance,
                         bins [{from, to, pairs, probability, true}] over all cells
        calibrated       the same of calibrated probabilities, and per_class {CLASS}; null without a calibration
        groups           {women, men, under 40 years, …}: recordings, subset_accuracy, micro_f1, macro_auroc,
                         auroc_classes (the classes that it is over, the same for all groups of a grouping)
        label_sets       recordings, outcomes {exact, all_and_more, part, none},
                         sets [{true, recordings, exact, missed, extra, predicted}]
        resampling       level, resamples, seed, units (recordings or patients), number, recordings

    Args:
      labels, predictions: [R, C], 0 or 1; the latter from `metrics.apply_thresholds`.
      probabilities, classes: [R, C] in 0 … 1; C names.
      calibrated: [R, C] in 0 … 1, the probabilities after calibration, to be scored beside the raw ones; or None.
      patients: [R] patient of each recording, None where unknown. Where one has several recordings, patients are
        resampled, not recordings.
      groupings: of each, name → [R] bool, recordings that are scored by themselves as well: women and men. The macro
        AUROC is over the classes that `LEAST_IN_GROUP` recordings of each group have, and as many have not, so that
        groups can be compared.
      resamples, seed: of the bootstrap.

    Raises:
      ValueError: shapes that do not fit, no recordings, or probabilities outside 0 … 1.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    metrics.check_arrays(labels, probabilities, predictions, len(classes))
    units = intervals.resampling_units(len(labels), patients)

    def resample(estimate: Callable[..., dict[str, Floats]]) -> _Estimates:
        return _Estimates(estimate(), intervals.bootstrap(estimate, units, resamples=resamples, seed=seed), units)

    found = resample(partial(all_metrics, labels, probabilities, predictions))
    hits, wrong, missed, exact, recordings = (counts[0] for counts in metrics.count_confusion(labels, predictions))
    support, predicted = hits + missed, hits + wrong
    chance, overall_chance = chance_errors(probabilities, seed)

    accuracies = {}
    for column, name in enumerate(LABEL_COUNTS):
        row = found.row(("accuracy",), "subset_", column)
        found.use_wilson(row, "accuracy", exact[column], recordings[column])
        accuracies[name] = row | {"exact": int(exact[column]), "recordings": int(recordings[column])}
    per_class = {}
    for column, name in enumerate(classes):
        row, calibration = found.row(_MACRO, "", column), found.calibration(chance[:, column], "", column)
        found.use_wilson(row, "precision", hits[column], predicted[column])
        found.use_wilson(row, "recall", hits[column], support[column])
        counts = {"support": int(support[column]), "predicted": int(predicted[column])}
        per_class[name] = row | counts | calibration | {"intervals": row["intervals"] | calibration["intervals"]}
    after = None
    if calibrated is not None:
        metrics.check_arrays(labels, calibrated, predictions, len(classes))
        again = resample(partial(calibration_metrics, labels, calibrated))
        chance, overall_chance_after = chance_errors(calibrated, seed)
        after = again.calibration(overall_chance_after, "overall_") | {"bins": reliability(labels, calibrated)}
        by_class = (again.calibration(chance[:, column], "", column) for column in range(len(classes)))
        after["per_class"] = dict(zip(classes, by_class, strict=True))
    groups = {}
    for grouping in groupings:
        present = {name: rows for name, rows in grouping.items() if rows.any()}
        columns = _in_each_group(labels, list(present.values()))
        for name, rows in present.items():
            people = None if patients is None else [patients[row] for row in np.flatnonzero(rows).tolist()]
            groups[name] = _score_group(
                labels[rows], probabilities[rows], predictions[rows], columns, people, resamples, seed
            ) | {"auroc_classes": [classes[column] for column in columns]}
    return {
        "subset_accuracy": accuracies,
        "micro": found.row(_MICRO, "micro_") | {"support": int(support.sum())},
        "macro": found.row(_MACRO, "macro_") | {"classes": int((support > 0).sum())},
        "per_class": per_class,
        **found.row(_OF_RECORDINGS),
        "calibration": found.calibration(overall_chance, "overall_") | {"bins": reliability(labels, probabilities)},
        "calibrated": after,
        "groups": groups,
        "label_sets": label_sets(labels, predictions, classes),
        "resampling": units.describe(resamples, seed),
    }


def _in_each_group(labels: np.ndarray, groups: Sequence[np.ndarray]) -> list[int]:
    """Returns the columns of [R, C] labels that are 1, and 0, often enough in each of the groups, each [R] bool."""
    positives = np.array([labels[rows].sum(axis=0) for rows in groups])
    sizes = np.array([[rows.sum()] for rows in groups])
    enough = (positives >= LEAST_IN_GROUP) & (sizes - positives >= LEAST_IN_GROUP)
    return np.flatnonzero(enough.all(axis=0)).tolist() if groups else []


def _score_group(
    labels: np.ndarray,
    probabilities: np.ndarray,
    predictions: np.ndarray,
    columns: Sequence[int],
    patients: Sequence[str | None] | None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Returns the main metrics of a group's recordings with intervals; the macro AUROC is over these columns."""

    def estimate(weights: Floats | None = None) -> dict[str, Floats]:
        found = metrics.label_set_metrics(labels, predictions, weights)
        values = {"subset_accuracy": found["subset_accuracy"][:, 0], "micro_f1": found["micro_f1"]}
        if columns:
            ranking = metrics.ranking_metrics(labels[:, columns], probabilities[:, columns], weights)
            return values | {"macro_auroc": ranking["macro_auroc"]}
        return values | {"macro_auroc": np.full_like(values["micro_f1"], np.nan)}

    units = intervals.resampling_units(len(labels), patients)
    values = estimate()
    found = _Estimates(values, intervals.bootstrap(estimate, units, resamples=resamples, seed=seed), units)
    return found.row(tuple(values)) | {"recordings": len(labels)}
