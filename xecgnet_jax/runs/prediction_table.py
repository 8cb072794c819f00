"""Predictions → a table for the screen, a CSV table, JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.runs.load import Run
from xecgnet_jax.runs.predict import FilePrediction, Refusal
from xecgnet_jax.terminal import cell, path_text, printable

#: Columns behind the probabilities.
REST = ("predicted", "thresholds", "warnings", "error", "step", "picture")
#: Recordings on screen where a file has them all.
ROWS_SHOWN = 50


def csv_text(run: Run, thresholds: Thresholds, outcomes: Sequence[FilePrediction | Refusal]) -> str:
    """Returns a row for each recording. Lists are separated by `;`, and by `; ` between warnings."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    kinds = ["probability"] if run.calibration is None else ["probability", "calibrated"]
    names = [f"{kind} {name}" for kind in kinds for name in run.classes]
    rows.writerow(["path", "id", "seconds", "rate", *names, *REST])
    for one in outcomes:
        values = _values(run, one)
        if isinstance(one, Refusal):
            numbers = [""] * (2 + len(names))
        else:
            numbers = [f"{one.seconds:.3f}", f"{one.rate:g}", *(f"{value:.9g}" for value in one.probabilities)]
            numbers += [] if one.calibrated is None else [f"{value:.6g}" for value in one.calibrated]
        warnings = printable("; ".join(f"{warning['kind']}: {warning['text']}" for warning in values["warnings"]))
        rest = [thresholds.name, warnings, cell(values["error"] or ""), run.step, values["picture"] or ""]
        rows.writerow([cell(values["path"]), cell(values["id"]), *numbers, ";".join(values["predicted"] or ()), *rest])
    return text.getvalue()


def jsonl_text(run: Run, thresholds: Thresholds, outcomes: Sequence[FilePrediction | Refusal]) -> str:
    """Returns an object for each recording, on a line of its own; what is undefined is null."""
    of_run = {"thresholds": thresholds.to_json(run.classes, run.calibration), "step": run.step}
    lines = [json.dumps(_values(run, one) | of_run, ensure_ascii=False, allow_nan=False) for one in outcomes]
    return "".join(f"{line}\n" for line in lines)


def _values(run: Run, outcome: FilePrediction | Refusal) -> dict[str, Any]:
    """Returns what is said of one recording, as JSON values."""
    values: dict[str, Any] = {"path": path_text(outcome.path), "id": printable(outcome.id)}
    if isinstance(outcome, Refusal):
        nothing = dict.fromkeys(("seconds", "rate", "probabilities", "calibrated", "predicted"))
        return {**values, **nothing, "warnings": [], "error": printable(outcome.reason), "picture": None}
    rounded = [float(f"{value:.9g}") for value in outcome.probabilities]
    calibrated = None
    if outcome.calibrated is not None:
        calibrated = {name: float(f"{value:.6g}") for name, value in zip(run.classes, outcome.calibrated, strict=True)}
    return values | {
        "seconds": round(outcome.seconds, 3),
        "rate": outcome.rate,
        "probabilities": dict(zip(run.classes, rounded, strict=True)),
        "calibrated": calibrated,
        "predicted": list(outcome.labels),
        "warnings": [{"kind": warning.kind, "text": warning.text} for warning in outcome.warnings],
        "error": None,
        "picture": outcome.picture,
    }


def screen_text(
    run: Run, thresholds: Thresholds, outcomes: Sequence[FilePrediction], *, most: int | None = None
) -> str:
    """Returns a line for each recording, of which `most` are shown: id, predicted classes, kinds of warnings.

    Recordings of one id are told apart by their paths.
    """
    ids = Counter(one.id for one in outcomes)
    rows = [("recording", "predicted", "warnings")]
    for one in outcomes[:most]:
        name = path_text(one.path) if ids[one.id] > 1 else printable(one.id)
        kinds = sorted({found.kind for found in one.warnings})
        rows.append((name, _labels(run, thresholds, one), ", ".join(kinds) or "–"))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{name:<{widths[0]}}  {labels:<{widths[1]}}  {warnings}" for name, labels, warnings in rows]
    if most is not None and len(outcomes) > most:
        lines.append(f"… and {len(outcomes) - most} more")
    return "\n".join(lines)


def _labels(run: Run, thresholds: Thresholds, one: FilePrediction) -> str:
    """Returns the predicted classes and their probabilities; where there is none, the one nearest to its threshold."""
    values = dict(zip(run.classes, one.probabilities.tolist(), strict=True))
    if one.labels:
        return ", ".join(f"{name} {values[name]:.2f}" for name in one.labels)
    needed = thresholds.by_class(run.classes)  # above 0, since no probability reaches its own
    nearest = max(values, key=lambda name: values[name] / needed[name])
    if values[nearest] < 0.005:
        return "none"
    return f"none (nearest {nearest} {values[nearest]:.2f} of {needed[nearest]:.2f})"
