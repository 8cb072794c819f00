"""A run's scores on a part of a corpus: metrics with intervals, kept beside the predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.evaluation import scores
from xecgnet_jax.evaluation.intervals import RESAMPLES
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import ThresholdName, Thresholds
from xecgnet_jax.files import read_sealed, sealed, write_json
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.runs.predictions import Part, PartPredictions, predict_part
from xecgnet_jax.training.workdir import read_metrics

#: Ages in years at which the groups of recordings begin that are scored by themselves.
AGES = (40, 60, 80)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A run's scores on a part of a corpus: `metrics` as of `evaluate`, `training` as in metrics.jsonl."""

    predictions: PartPredictions
    thresholds: Thresholds
    metrics: dict[str, Any]
    training: list[dict[str, Any]]

    @property
    def metrics_file(self) -> Path:
        """Where the metrics are kept; thresholds other than 0.5 are in the name."""
        return self._file("metrics", ".json")

    @property
    def report_file(self) -> Path:
        """Where the report of these metrics is, once `report.write.write_report` has written it."""
        return self._file("report", ".html")

    @property
    def title(self) -> str:
        """A line that says what was scored on what."""
        one, unknown = self.predictions, set(self.predictions.pack.classes) - set(self.predictions.classes)
        without = f"; not annotated, so not scored: {', '.join(sorted(unknown))}" if unknown else ""
        what = f"all {len(one.rows)}" if one.part == "all" else f"{one.part} part: {len(one.rows)}"
        return f"{one.corpus}, {what} recordings, {one.run.title}{without}"

    def _file(self, stem: str, suffix: str) -> Path:
        chosen = "" if self.thresholds.name == "0.5" else f"-{self.thresholds.name}"
        return self.predictions.folder / f"{stem}{chosen}{suffix}"


def evaluate(
    run: Run | str | Path,
    corpus: Dataset | Pack,
    *,
    part: Part = "auto",
    thresholds: ThresholdName = "0.5",
    resamples: int = RESAMPLES,
    name: str | None = None,
    batch_size: int = 32,
    progress: bool = True,
    output: str | Path | None = None,
) -> dict[str, Any]:
    """Scores a run on a part of a corpus, and returns its metrics as JSON values.

    They are those of `scores.evaluate`, and `thresholds` (name, values, and calibrated: the same on that scale),
    `made_from`, `trained_on` (how many of the recordings the run knew) and `epochs`.

    Writes metrics.json and predictions.csv to `output`/CORPUS-PART. What is there already, made from the same, is read,
    not made again.

    Args:
      run, corpus: the run, its working directory or checkpoint; the recordings.
      part: which of them, see `predict_part`.
      thresholds: from which probabilities on a class is predicted.
      resamples: of the bootstrap.
      name: of the corpus, in the folder of the results; None: that of the corpus's folder.
      batch_size: windows in a step.
      progress: show a progress bar.
      output: folder of results; None: WORKDIR/evaluation (of weights: `Run.results`).

    Raises:
      ConfigError: `output` cannot be written to.
      CheckpointError: no such checkpoint, thresholds that it does not have, or as `predict_part`.
    """
    run = run if isinstance(run, Run) else load_run(run)
    chosen = run.thresholds(thresholds)
    options: dict[str, Any] = {"name": name, "part": part, "batch_size": batch_size, "progress": progress}
    predictions = predict_part(run, corpus, output=output, **options)
    return evaluate_predictions(predictions, chosen, resamples).metrics


def evaluate_predictions(
    predictions: PartPredictions, thresholds: Thresholds, resamples: int = RESAMPLES
) -> Evaluation:
    """Returns the scores of predictions, and writes their metrics beside them, unless they are there already."""
    run = predictions.run
    training = read_metrics(run.workdir)
    basis = {
        "format": scores.FORMAT,
        "thresholds": thresholds.to_json(run.classes, run.calibration),
        "made_from": predictions.made_from,
        "trained_on": predictions.trained_on,
        "epochs": len(training),
    }
    evaluation = Evaluation(predictions, thresholds, {}, training)
    metrics = _read_metrics(evaluation.metrics_file, basis, resamples)
    if metrics is None:
        calibrated = run.calibrate(predictions.probabilities)
        metrics = basis | scores.evaluate(
            predictions.labels,
            predictions.scored,
            apply_thresholds(predictions.scored, thresholds.pick(predictions.pack.columns).values),
            predictions.classes,
            calibrated=None if calibrated is None else calibrated[:, predictions.pack.columns],
            patients=predictions.patients,
            groupings=groupings_of_people(predictions.pack, predictions.rows),
            resamples=resamples,
        )
        evaluation.report_file.unlink(missing_ok=True)  # it shows these metrics
        write_json(evaluation.metrics_file, sealed(metrics))
    return replace(evaluation, metrics=metrics)


def groupings_of_people(pack: Pack, rows: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns name → [R] bool for these rows of a pack, by sex and by age; those of whom it is unknown are in none."""
    sexes, ages = np.array([pack.sexes[row] or "" for row in rows]), np.asarray(pack.ages)[rows]
    edges = [-np.inf, *AGES, np.inf]
    names = [
        f"under {AGES[0]} years",
        *(f"{a} to {b - 1} years" for a, b in pairwise(AGES)),
        f"{AGES[-1]} years or older",
    ]
    by_age = {name: (ages >= low) & (ages < high) for name, (low, high) in zip(names, pairwise(edges), strict=True)}
    return {"women": sexes == "F", "men": sexes == "M"}, by_age


def _read_metrics(file: Path, basis: dict[str, Any], resamples: int) -> dict[str, Any] | None:
    """Returns the metrics that are there already, as they were written and made from the same, else None."""
    try:
        metrics = read_sealed(file)
        del metrics["seal"]
        same = metrics["resampling"]["resamples"] == resamples and all(metrics[name] == basis[name] for name in basis)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return metrics if same else None
