"""A part's predictions on the disk: a CSV table, and beside it what it was made from, so that none is made twice."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.data.pack import Pack
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.files import read_json, sha256, write_json, write_text
from xecgnet_jax.runs.load import Run
from xecgnet_jax.terminal import cell

PREDICTIONS = "predictions.csv"
#: What the predictions were made from; written after them.
MADE_FROM = "predictions.json"


def read_probabilities(folder: Path, made_from: dict[str, Any], classes: tuple[str, ...]) -> np.ndarray | None:
    """Returns the probabilities [R, C] float32 of a folder, or None where they are missing, damaged or of others."""
    try:
        content = (folder / PREDICTIONS).read_bytes()
        if read_json(folder / MADE_FROM) != made_from | {"sha256": sha256(content)}:
            return None
    except (OSError, ValueError):
        return None
    lines = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return np.array([[line[f"probability {name}"] for name in classes] for line in lines], np.float32)


def kept_fingerprint(folder: Path) -> str | None:
    """Returns the fingerprint of the corpus whose predictions a folder has; None where it has none that can be read."""
    try:
        return str(read_json(folder / MADE_FROM)["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_predictions(
    folder: Path, made_from: dict[str, Any], run: Run, pack: Pack, rows: np.ndarray, probabilities: np.ndarray
) -> None:
    """Writes the table of R rows of a pack, and removes what the folder had of others: all in it belongs together.

    A line has the id, a probability per class, the calibrated ones where the run has a calibration, and label sets
    (classes separated by ;): predicted by each of the run's thresholds, and true. Probabilities are [R, C], `made_from`
    is what decides them.
    """
    for old in (folder / MADE_FROM, *folder.glob("metrics*.json"), *folder.glob("report*.html")):
        old.unlink(missing_ok=True)
    columns = {"id": [cell(pack.ids[row]) for row in rows]}
    for name, column in zip(run.classes, probabilities.T, strict=True):
        columns[f"probability {name}"] = [f"{value:.9g}" for value in column]  # gives a float32 back as it was
    calibrated = run.calibrate(probabilities)
    if calibrated is not None:
        for name, column in zip(run.classes, calibrated.T, strict=True):
            columns[f"calibrated {name}"] = [f"{value:.6g}" for value in column]
    for one in run.all_thresholds():
        heading = "predicted" if one.name == "0.5" else f"predicted {one.name}"
        columns[heading] = [";".join(s) for s in run.label_sets(apply_thresholds(probabilities, one.values))]
    columns["true"] = [";".join(names) for names in run.label_sets(pack.labels[rows])]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(columns), *zip(*columns.values(), strict=True)])
    write_text(folder / PREDICTIONS, text.getvalue())
    write_json(folder / MADE_FROM, made_from | {"sha256": sha256(text.getvalue().encode())})
