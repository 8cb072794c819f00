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
from xecgnet_jax.runs.predict import Predicted, Refused

#: Columns behind the probabilities.
REST = ("predicted", "thresholds", "warnings", "error", "step", "picture")

#: Recordings on screen where a file has them all.
SHOWN: int = 50


def csv_text(run: Run, thresholds: Thresholds, outcomes: Sequence[Predicted | Refused]) -> str:
    """A row for each recording. Lists are separated by `;`, and by `; ` between warnings."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    names = [f"probability {name}" for name in run.classes]
    rows.writerow(["path", "id", "seconds", "rate", *names, *REST])
    for one in outcomes:
        if isinstance(one, Refused):
            empty = [""] * (3 + len(names))
            rows.writerow([shown(one.path), _name(one), *empty, thresholds.name, "", plain(one.reason), run.step, ""])
            continue
        figures = [f"{one.seconds:.3f}", f"{one.rate:g}", *(f"{value:.9g}" for value in one.probabilities)]
        warnings = "; ".join(f"{found.kind}: {found.text}" for found in one.warnings)
        rest = [";".join(one.labels), thresholds.name, plain(warnings), "", run.step, one.picture or ""]
        rows.writerow([shown(one.path), _name(one), *figures, *rest])
    return text.getvalue()


def jsonl_text(run: Run, thresholds: Thresholds, outcomes: Sequence[Predicted | Refused]) -> str:
    """An object for each recording on a line of its own; what is undefined is null."""
    lines = []
    threshold = {"name": thresholds.name, "values": thresholds.by_class(run.classes)}
    for one in outcomes:
        values = _read_values(run, one) if isinstance(one, Predicted) else _refused_values(one)
        values = {"path": shown(one.path), "id": _name(one), **values, "thresholds": threshold, "step": run.step}
        lines.append(json.dumps(values, ensure_ascii=False, allow_nan=False))
    return "\n".join(lines) + "\n"


def _read_values(run: Run, one: Predicted) -> dict[str, Any]:
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


def _refused_values(one: Refused) -> dict[str, Any]:
    nothing = dict.fromkeys(("seconds", "rate", "probabilities", "predicted"))
    return {**nothing, "warnings": [], "error": plain(one.reason), "picture": None}


def screen_text(run: Run, thresholds: Thresholds, outcomes: Sequence[Predicted], *, most: int | None = None) -> str:
    """A line for each recording, of which `most` are shown: id, predicted classes, kinds of warnings.

    Recordings of one id are told apart by their paths.
    """
    ids = Counter(one.id for one in outcomes)
    rows = [("recording", "predicted", "warnings")]
    for one in outcomes[:most]:
        name = shown(one.path) if ids[one.id] > 1 else _name(one)
        kinds = sorted({found.kind for found in one.warnings})
        rows.append((name, _labels(run, thresholds, one), ", ".join(kinds) or "–"))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{name:<{widths[0]}}  {labels:<{widths[1]}}  {warnings}" for name, labels, warnings in rows]
    if most is not None and len(outcomes) > most:
        lines.append(f"… and {len(outcomes) - most} more")
    return "\n".join(lines)


def shown(path: Path) -> str:
    """A path as text that every encoding has: names that are no UTF-8 lose what is not, line breaks become spaces."""
    return plain(os.fsdecode(path))


def plain(text: str) -> str:
    """Text without what cannot be printed or encoded."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in readable)


def _name(one: Predicted | Refused) -> str:
    return plain(one.path.stem)


def _labels(run: Run, thresholds: Thresholds, one: Predicted) -> str:
    """Predicted classes and their probabilities, or the one nearest to its threshold where there is none."""
    values = dict(zip(run.classes, one.probabilities.tolist(), strict=True))
    if one.labels:
        return ", ".join(f"{name} {values[name]:.2f}" for name in one.labels)
    needed = thresholds.by_class(run.classes)  # above 0, since no probability reaches its own
    nearest = max(values, key=lambda name: values[name] / needed[name])
    return f"none (nearest {nearest} {values[nearest]:.2f} of {needed[nearest]:.2f})"
