"""Predictions → a table for the screen, a CSV table, JSON lines."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.runs.load import Run
from xecgnet_jax.runs.predict import FilePrediction, Refusal

#: Columns behind the probabilities.
REST = ("predicted", "thresholds", "warnings", "error", "step", "picture")

#: Recordings on screen where a file has them all.
ROWS_SHOWN: int = 50


def csv_text(run: Run, thresholds: Thresholds, outcomes: Sequence[FilePrediction | Refusal]) -> str:
    """Returns a row for each recording. Lists are separated by `;`, and by `; ` between warnings."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    names = [f"probability {name}" for name in run.classes]
    rows.writerow(["path", "id", "seconds", "rate", *names, *REST])
    for one in outcomes:
        if isinstance(one, Refusal):
            empty = [""] * (3 + len(names))
            rows.writerow(
                [path_text(one.path), _name(one), *empty, thresholds.name, "", printable(one.reason), run.step, ""]
            )
            continue
        figures = [f"{one.seconds:.3f}", f"{one.rate:g}", *(f"{value:.9g}" for value in one.probabilities)]
        warnings = "; ".join(f"{found.kind}: {found.text}" for found in one.warnings)
        rest = [";".join(one.labels), thresholds.name, printable(warnings), "", run.step, one.picture or ""]
        rows.writerow([path_text(one.path), _name(one), *figures, *rest])
    return text.getvalue()


def jsonl_text(run: Run, thresholds: Thresholds, outcomes: Sequence[FilePrediction | Refusal]) -> str:
    """Returns an object for each recording, on a line of its own; what is undefined is null."""
    lines = []
    threshold = {"name": thresholds.name, "values": thresholds.by_class(run.classes)}
    for one in outcomes:
        values = _prediction_values(run, one) if isinstance(one, FilePrediction) else _refusal_values(one)
        values = {"path": path_text(one.path), "id": _name(one), **values, "thresholds": threshold, "step": run.step}
        lines.append(json.dumps(values, ensure_ascii=False, allow_nan=False))
    return "\n".join(lines) + "\n"


def _prediction_values(run: Run, one: FilePrediction) -> dict[str, Any]:
    return {
        "seconds": round(one.seconds, 3),
        "rate": one.rate,
        "probabilities": {
            name: float(f"{value:.9g}") for name, value in zip(run.classes, one.probabilities, strict=True)
        },
        "predicted": list(one.labels),
        "warnings": [{"kind": found.kind, "text": found.text} for found in one.warnings],
        "error": None,
        "picture": one.picture,
    }


def _refusal_values(one: Refusal) -> dict[str, Any]:
    nothing = dict.fromkeys(("seconds", "rate", "probabilities", "predicted"))
    return {**nothing, "warnings": [], "error": printable(one.reason), "picture": None}


def screen_text(
    run: Run, thresholds: Thresholds, outcomes: Sequence[FilePrediction], *, most: int | None = None
) -> str:
    """Returns a line for each recording, of which `most` are shown: id, predicted classes, kinds of warnings.

    Recordings of one id are told apart by their paths.
    """
    ids = Counter(one.id for one in outcomes)
    rows = [("recording", "predicted", "warnings")]
    for one in outcomes[:most]:
        name = path_text(one.path) if ids[one.id] > 1 else _name(one)
        kinds = sorted({found.kind for found in one.warnings})
        rows.append((name, _labels(run, thresholds, one), ", ".join(kinds) or "–"))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{name:<{widths[0]}}  {labels:<{widths[1]}}  {warnings}" for name, labels, warnings in rows]
    if most is not None and len(outcomes) > most:
        lines.append(f"… and {len(outcomes) - most} more")
    return "\n".join(lines)


def path_text(path: Path) -> str:
    """Returns a path as text that every encoding has: what is not UTF-8 is lost, line breaks become spaces."""
    return printable(os.fsdecode(path))


def printable(text: str) -> str:
    """Returns text without what cannot be printed or encoded."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in readable)


def _name(one: FilePrediction | Refusal) -> str:
    return printable(one.path.stem)


def _labels(run: Run, thresholds: Thresholds, one: FilePrediction) -> str:
    """Returns the predicted classes and their probabilities; where there is none, the one nearest to its threshold."""
    values = dict(zip(run.classes, one.probabilities.tolist(), strict=True))
    if one.labels:
        return ", ".join(f"{name} {values[name]:.2f}" for name in one.labels)
    needed = thresholds.by_class(run.classes)  # above 0, since no probability reaches its own
    nearest = max(values, key=lambda name: values[name] / needed[name])
    return f"none (nearest {nearest} {values[nearest]:.2f} of {needed[nearest]:.2f})"
